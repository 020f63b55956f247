"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What a new manual clock shows."""

_TURNS = 20
"""Turns of the event loop granted to what woke up before the clock moves on: enough for a callback
that passes through a few queues, and no wall-clock time."""


class ManualClock:
    """Time stands still until ``advance``; sleepers wake in the order of their alarms."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def now(self) -> datetime:
        """The start plus what was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced that far; 0 gives way once, as asyncio's sleep does."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), alarm))
        await alarm

    @property
    def sleepers(self) -> int:
        """How many wait for an alarm."""
        return sum(not alarm.done() for _, _, alarm in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time on, alarm by alarm; what wakes runs before the next alarm rings."""
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, alarm = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            if not alarm.done():
                alarm.set_result(None)
                await settle()
        self._elapsed = end
        await settle()


async def settle(turns: int = _TURNS) -> None:
    """Let everything that is ready to run go on, without any time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
