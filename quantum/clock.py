"""Time as an argument: code asks a Clock, tests hand in one that they move by hand."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Durations are measured with ``monotonic``, dates taken from ``now``."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set back."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock's time."""


class SystemClock:
    """The machine's clocks and the event loop's timer."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point."""
        return time.monotonic()

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep in the running event loop."""
        await asyncio.sleep(seconds)
