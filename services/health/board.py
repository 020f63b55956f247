"""The board: where standings are published, and kept fresh as long as somebody vouches for them.

A standing says for how long it may be believed. The board writes it again well before, and only
then: when another health process has just written it, nothing needs to be said. Every change is also
an event (``healthy``, ``unhealthy``) and stays in the standing's history.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog

from quantum.bus.api import Bus, Entry, KeyValue, Subscription
from quantum.bus.subjects import (
    STANDINGS,
    UPSTREAM_CHANGED,
    StandingChange,
    UpstreamChanged,
    UpstreamStanding,
)
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.ids import PROCESS_ID
from services.health.verdict import Verdict

MIN_VALID_SECONDS = 30.0
"""A standing is believed at least this long: a restart of the health room must fit into it."""
ROUNDS_VALID = 3
"""... and for this many rounds of its check, if they are longer."""
MAX_HISTORY = 16
"""Changes kept of each upstream: a bad day's worth, and the standing stays under two kilobytes."""


@dataclass(frozen=True)
class Subject:
    """What a standing is about. ``valid_for``: seconds that it may be believed."""

    key: str
    checker: str
    upstream: str
    valid_for: float


class Board:
    """Publishes verdicts to the bucket of standings and remembers what it says now."""

    def __init__(self, bus: Bus, clock: Clock, log: structlog.stdlib.BoundLogger) -> None:
        self._bus = bus
        self._clock = clock
        self._log = log
        self._bucket: KeyValue[UpstreamStanding] | None = None
        self._opening = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._seen: dict[str, tuple[UpstreamStanding, float]] = {}

    async def aclose(self) -> None:
        """Stop following the bucket."""
        if self._subscription is not None:
            await self._subscription.aclose()
            self._subscription = None

    async def starting_verdict(self, key: str) -> Verdict:
        """Return the verdict to go on from: what the bucket says, else the benefit of the doubt."""
        try:
            await self._open()
        except BusUnavailable:
            return Verdict()
        seen = self._seen.get(key)
        if seen is None:
            return Verdict()
        return Verdict(seen[0].healthy, reason=seen[0].reason)

    def falls(self, key: str) -> list[datetime]:
        """Return when the upstream went down, as far as the history goes."""
        seen = self._seen.get(key)
        return [] if seen is None else [c.at for c in seen[0].history if not c.healthy]

    async def publish(self, subject: Subject, verdict: Verdict, revision: str) -> bool:
        """Say ``verdict`` unless the bucket says it already, freshly; False while the bus is away."""
        seen = self._seen.get(subject.key)
        before = None if seen is None else seen[0]
        is_change = before is None or before.healthy != verdict.healthy
        fresh_until = -1.0 if seen is None else seen[1] + subject.valid_for / ROUNDS_VALID
        if not is_change and self._clock.monotonic() < fresh_until:
            return True
        standing = self._standing(subject, verdict, revision, before)
        try:
            bucket = await self._open()
            await bucket.put(subject.key, standing)
        except BusUnavailable as error:
            self._log.warning(
                "standing_not_published", upstream=subject.upstream, reason=str(error)
            )
            return False
        self._seen[subject.key] = (standing, self._clock.monotonic())
        if is_change and (before is not None or not verdict.healthy):
            await self._tell(standing)
        return True

    async def withdraw(self, key: str) -> None:
        """Take back what was said of a check that no longer exists; best effort."""
        self._seen.pop(key, None)
        try:
            await (await self._open()).delete(key)
        except BusUnavailable as error:
            self._log.warning("standing_not_withdrawn", key=key, reason=str(error))

    def _standing(
        self,
        subject: Subject,
        verdict: Verdict,
        revision: str,
        before: UpstreamStanding | None,
    ) -> UpstreamStanding:
        now = self._clock.now()
        history = [] if before is None else before.history
        since = now
        if before is not None and before.healthy == verdict.healthy:
            since = before.since
        elif before is not None or not verdict.healthy:
            change = StandingChange(at=now, healthy=verdict.healthy, reason=verdict.reason)
            history = [*history, change][-MAX_HISTORY:]
        return UpstreamStanding(
            upstream=subject.upstream,
            checker=subject.checker,
            healthy=verdict.healthy,
            reason=verdict.reason,
            since=since,
            revision=revision,
            valid_for=subject.valid_for,
            history=history,
        )

    async def _tell(self, standing: UpstreamStanding) -> None:
        event = "upstream_recovered" if standing.healthy else "upstream_went_down"
        self._log.warning(
            event, upstream=standing.upstream, checker=standing.checker, reason=standing.reason
        )
        fact = UpstreamChanged(
            event="healthy" if standing.healthy else "unhealthy",
            upstream=standing.upstream,
            checker=standing.checker,
            reason=standing.reason,
            at=standing.since,
            process=PROCESS_ID,
        )
        await self._bus.publish(UPSTREAM_CHANGED, fact)

    async def _open(self) -> KeyValue[UpstreamStanding]:
        async with self._opening:
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


def valid_seconds(interval: float, timeout: float) -> float:
    """Return how long the standing of a check may be believed."""
    return max(MIN_VALID_SECONDS, ROUNDS_VALID * (interval + timeout))
