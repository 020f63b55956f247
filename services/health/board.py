"""The board: where standings are published, and kept fresh as long as somebody vouches for them.

A standing says for how long it may be believed. The board writes it again well before, and only
then: when another health process has just written it, nothing needs to be said. Writing the same
standing twice changes nothing, so several health processes may share a deployment.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from quantum.bus.api import Bus, Entry, KeyValue, Subscription
from quantum.bus.subjects import STANDINGS, UpstreamStanding
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from services.health.checks import Check
from services.health.verdict import Verdict

MIN_VALID_SECONDS = 30.0
"""A standing is believed at least this long: a restart of the health room must fit into it."""
ROUNDS_VALID = 3
"""... and for this many rounds of its check, if they are longer."""


class Board:
    """Publishes verdicts to the bucket of standings and remembers what it says now."""

    def __init__(self, bus: Bus, clock: Clock, log: structlog.stdlib.BoundLogger) -> None:
        self._bus = bus
        self._clock = clock
        self._log = log
        self._bucket: KeyValue[UpstreamStanding] | None = None
        self._subscription: Subscription | None = None
        self._seen: dict[str, tuple[UpstreamStanding, float]] = {}

    async def aclose(self) -> None:
        """Stop following the bucket."""
        if self._subscription is not None:
            await self._subscription.aclose()
            self._subscription = None

    async def starting_verdict(self, check: Check) -> Verdict:
        """Return the verdict to go on from: what the bucket says, else the benefit of the doubt."""
        try:
            await self._open()
        except BusUnavailable:
            return Verdict()
        seen = self._seen.get(check.key)
        if seen is None:
            return Verdict()
        return Verdict(seen[0].healthy, reason=seen[0].reason)

    async def publish(self, check: Check, verdict: Verdict, revision: str) -> bool:
        """Say ``verdict`` unless the bucket says it already, freshly; False while the bus is away."""
        valid_for = valid_seconds(check)
        seen = self._seen.get(check.key)
        if seen is not None and seen[0].healthy == verdict.healthy:
            if self._clock.monotonic() - seen[1] < valid_for / ROUNDS_VALID:
                return True
            since = seen[0].since
        else:
            since = self._clock.now()
        standing = _standing(check, verdict, revision, since, valid_for)
        try:
            bucket = await self._open()
            await bucket.put(check.key, standing)
        except BusUnavailable as error:
            self._log.warning("standing_not_published", upstream=check.upstream, reason=str(error))
            return False
        self._seen[check.key] = (standing, self._clock.monotonic())
        return True

    async def withdraw(self, check: Check) -> None:
        """Take back what was said of a check that no longer exists; best effort."""
        self._seen.pop(check.key, None)
        try:
            await (await self._open()).delete(check.key)
        except BusUnavailable as error:
            self._log.warning("standing_not_withdrawn", upstream=check.upstream, reason=str(error))

    async def _open(self) -> KeyValue[UpstreamStanding]:
        if self._bucket is None:
            bucket = await self._bus.bucket(STANDINGS)
            self._subscription = await bucket.watch(self._on_entry)
            self._bucket = bucket
        return self._bucket

    async def _on_entry(self, entry: Entry[UpstreamStanding]) -> None:
        if entry.value is None:
            self._seen.pop(entry.key, None)
        else:
            self._seen[entry.key] = (entry.value, self._clock.monotonic())


def valid_seconds(check: Check) -> float:
    """Return how long a standing of ``check`` may be believed."""
    round_: float = check.active.interval + check.active.timeout
    return max(MIN_VALID_SECONDS, ROUNDS_VALID * round_)


def _standing(
    check: Check, verdict: Verdict, revision: str, since: datetime, valid_for: float
) -> UpstreamStanding:
    return UpstreamStanding(
        upstream=check.upstream,
        checker=check.checker,
        healthy=verdict.healthy,
        reason=verdict.reason,
        since=since,
        revision=revision,
        valid_for=valid_for,
    )
