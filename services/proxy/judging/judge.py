"""One handler's judgement of its upstreams from its own requests: passive checks, breakers, outliers.

It acts at once and alone; what all proxies see together comes back from the health room as standings.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from quantum.outliers import Ejections, Series
from services.proxy.judging.breaker import Breaker
from services.proxy.judging.config import HealthChecks, PassiveChecks
from services.proxy.observations import Observations
from services.proxy.upstreams import Member, Roster

LOOK_SECONDS = 1.0
"""How often figures are looked at for outliers."""


class Judge:
    """Hears every outcome; tells the roster when it changes what may be chosen."""

    def __init__(self, checks: HealthChecks, roster: Roster, observations: Observations) -> None:
        self._passive = checks.passive or PassiveChecks()
        self._bad = bad_statuses(self._passive.unhealthy_status)
        self._too_slow = self._passive.unhealthy_latency or math.inf
        self._roster = roster
        self._observations = observations
        self._loop = asyncio.get_running_loop()
        self._breaker = checks.circuit_breaker
        self.has_breakers = self._breaker is not None
        """Whether ``chosen`` is to be called."""
        for member in roster.members:
            self.meet(member)
        self._outlier = checks.outlier
        self._timer: asyncio.TimerHandle | None = None
        if self._outlier is not None:
            self._ejections = Ejections(self._outlier)
            self._series: dict[str, Series] = {}
            self._look_for_outliers()

    def meet(self, member: Member) -> None:
        """Take on a member that has joined the roster."""
        if self._breaker is not None:
            member.breaker = Breaker(self._breaker)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def chosen(self, member: Member) -> None:
        """Hear that a request is about to be sent: a half-open breaker lets one through at a time."""
        if member.breaker is not None:
            member.breaker.chosen(self._loop.time())

    def answered(self, member: Member, status: int, took: float) -> None:
        """Judge an answer."""
        member.upstream.answered(status, took, self._loop.time())
        if status in self._bad:
            self._object(member, f"status {status}")
        elif took >= self._too_slow:
            self._object(member, f"answered after {took:.3f} s")
        elif self._observations.failing:
            self._observations.succeeded(member.address)
        if self.has_breakers:
            self._note(member, ok=status < 500)

    def failed(self, member: Member, reason: str) -> None:
        """Judge an attempt without an answer."""
        member.upstream.count_failure(reason, self._passive.fail_duration)
        self._observations.failed(member.address, reason)
        if self.has_breakers:
            self._note(member, ok=False)

    def _object(self, member: Member, reason: str) -> None:
        """Passive checks: an answer may count against the upstream as well."""
        member.upstream.strike(reason, self._passive.fail_duration)
        self._observations.failed(member.address, reason)

    def _note(self, member: Member, *, ok: bool) -> None:
        breaker, now = member.breaker, self._loop.time()
        assert breaker is not None
        if breaker.note(now, ok=ok):
            self._roster.refresh()
            if breaker.until > now:
                self._loop.call_later(breaker.until - now, self._roster.refresh)

    def _look_for_outliers(self) -> None:
        assert self._outlier is not None
        now = self._loop.time()
        figures = {}
        present = {member.address for member in self._roster.members}
        self._series = {k: v for k, v in self._series.items() if k in present}
        for member in self._roster.members:
            series = self._series.setdefault(member.address, Series(self._outlier.window))
            series.note(now, member.upstream.figures())
            figures[member.address] = series.since(self._ejections.counts_from(member.address, now))
        if self._ejections.consider(len(self._roster.members), figures, now):
            for member in self._roster.members:
                member.ejected = self._ejections.out.get(member.address, "")
            self._roster.refresh()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look_for_outliers)


def bad_statuses(codes: Iterable[int]) -> frozenset[int]:
    """Return the statuses that ``codes`` name, themselves or their class by one digit (5 means 5xx)."""
    wanted = set(codes)
    return frozenset(s for s in range(100, 1000) if s in wanted or s // 100 in wanted)
