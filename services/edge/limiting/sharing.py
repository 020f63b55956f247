"""Processes that limit together tell each other what they let through.

Each counts its own at once and hears of the others' a second later, so that all of them together let
through what one would, and what came within that second. While the bus is away each limits alone.
"""

from __future__ import annotations

from itertools import islice

from quantum.bus.api import Bus, Subscription
from quantum.bus.subjects import REQUESTS_COUNTED, RequestsCounted
from quantum.clock import Clock
from services.edge.limiting.zones import Zones

TELL_SECONDS = 1.0
KEYS_AT_ONCE = 2000
"""Keys in one message: some 200 bytes each at most, far below the bus's megabyte."""


class SharedCounts:
    """Tells and hears. ``run`` for as long as the process limits anything."""

    def __init__(self, zones: Zones, bus: Bus, clock: Clock, process: str) -> None:
        self._zones = zones
        self._bus = bus
        self._clock = clock
        self._process = process
        self._heard: Subscription | None = None

    async def run(self) -> None:
        """Hear of others, and tell them every second what is new."""
        self._heard = await self._bus.subscribe(REQUESTS_COUNTED, self._hear)
        while True:
            await self._clock.sleep(TELL_SECONDS)
            for zone, counts in self._zones.untold().items():
                await self._tell(zone, counts)

    async def aclose(self) -> None:
        """Hear no more. Idempotent."""
        heard, self._heard = self._heard, None
        if heard is not None:
            await heard.aclose()

    async def _tell(self, zone: str, counts: dict[str, int]) -> None:
        items = iter(counts.items())
        while part := dict(islice(items, KEYS_AT_ONCE)):
            fact = RequestsCounted(process=self._process, zone=zone, counts=part)
            await self._bus.publish(REQUESTS_COUNTED, fact)

    async def _hear(self, fact: RequestsCounted) -> None:
        if fact.process != self._process:
            self._zones.hear(fact.zone, fact.counts, self._clock.monotonic())
