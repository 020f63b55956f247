"""``peak_ewma``: the one that will probably answer first; an extension.

Of two random upstreams the one with the lower cost is taken: its mean latency, times the requests it
has under way and this one, over its weight. A latency above the mean counts at once, one below it little by
little (peaks are remembered, recoveries believed slowly). The mean of one that is not asked decays, so that
it is tried again. What was measured is read from the upstream's counters: nothing happens per request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from random import Random

from quantum.http.message import Request
from quantum.modules.lifetime import Provision
from services.proxy.selection.config import PeakEwmaPolicy
from services.proxy.upstreams import Member, Upstream

FAILURE_SECONDS = 1.0
"""What an attempt without an answer counts as: more than any answer that is worth waiting for."""
LEAST_SECONDS = 1e-6
"""The cost of an upstream nobody has measured: it is tried first, and then known."""


class _Measured:
    """What is known of one upstream's latency."""

    __slots__ = ("answers", "failed", "mean", "seconds", "since")

    def __init__(self, upstream: Upstream, now: float) -> None:
        self.answers, self.failed, self.seconds = 0, upstream.failed, 0.0
        self.mean = LEAST_SECONDS
        self.since = now

    def look(self, upstream: Upstream, now: float, decay: float) -> float:
        """Take in what was counted since the last look; return the mean as it counts now."""
        left = math.exp((self.since - now) / decay)
        failed = upstream.failed - self.failed
        count = upstream.answers - self.answers + failed
        if count > 0:
            took = upstream.seconds - self.seconds + failed * FAILURE_SECONDS
            latest = took / count
            faded = self.mean * left + latest * (1 - left)
            self.mean = max(latest, faded)
            self.answers, self.failed = upstream.answers, upstream.failed
            self.seconds, self.since = upstream.seconds, now
            return self.mean
        return max(self.mean * left, LEAST_SECONDS)


class PeakEwma:
    """The quicker of two random ones."""

    def __init__(self, config: PeakEwmaPolicy, provision: Provision) -> None:
        self._decay = config.decay
        self._measured: dict[Upstream, _Measured] = {}
        self._loop = asyncio.get_running_loop()
        self.random = Random()  # noqa: S311 - balancing needs no secrets

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the cheaper of two."""
        if len(members) == 1:
            return members[0]
        one, other = self.random.sample(members, 2)
        now = self._loop.time()
        return one if self._cost(one, now) <= self._cost(other, now) else other

    def _cost(self, member: Member, now: float) -> float:
        upstream = member.upstream
        measured = self._measured.get(upstream)
        if measured is None:
            if len(self._measured) > 2 * MOST_KEPT:
                self._measured.clear()
            measured = self._measured[upstream] = _Measured(upstream, now)
        mean = measured.look(upstream, now, self._decay)
        return mean * (upstream.in_flight + 1) / (member.weight or LEAST_SECONDS)


MOST_KEPT = 1000
"""Upstreams remembered: as many as a handler may discover."""
