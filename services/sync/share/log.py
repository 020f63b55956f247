"""The log of a share on the bus: the one order of its operations, and the place of its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from quantum.bus.api import Bus, Entry, Log, Replaced
from quantum.bus.subjects import SHARES, ShareOperation
from quantum.clock import Clock
from quantum.errors import BusUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts to reach the bus: soon at first, then with little load."""
LOOKS_FOR_END = 10
"""Before a log that ends too early is believed: a new leader of a cluster's stream may learn its end late."""


class ShareLog:
    """One share's stream."""

    def __init__(self, bus: Bus, share: str, clock: Clock) -> None:
        self._bus = bus
        self._share = share
        self._clock = clock
        self._stream: Log[ShareOperation] | None = None
        self._log = structlog.get_logger("quantum.sync").bind(share=share)

    async def _open(self) -> Log[ShareOperation]:
        if self._stream is None:
            self._stream = await self._bus.stream(SHARES, self._share)
        return self._stream

    async def append(self, entries: list[ShareOperation], expected_last: int) -> int:
        """Append behind ``expected_last``; Conflict when somebody was faster, BusUnavailable."""
        log = await self._open()
        if len(entries) == 1:
            return await log.append(entries[0], expected_last=expected_last)
        return await log.append_all(entries, expected_last=expected_last)

    async def state(self) -> tuple[str, int, int]:
        """Return the log's identity, its first and its last sequence. BusUnavailable."""
        log = await self._open()
        first, last = await log.bounds()
        return await log.identity(), first, last

    async def last(self) -> int:
        """Return the log's last sequence. BusUnavailable."""
        return (await (await self._open()).bounds())[1]

    async def purge(self, through: int) -> None:
        """Drop the start. BusUnavailable."""
        await (await self._open()).purge(through)

    async def follow(
        self, after: Callable[[], int], hear: Callable[[Entry[ShareOperation]], Awaitable[None]]
    ) -> None:
        """Hand over every entry behind ``after()``, then those that come, until the log is Replaced."""
        pause = FIRST_PAUSE
        while True:
            try:
                log = await self._open()
                async for entry in log.read(after(), after):
                    await hear(entry)
                    pause = FIRST_PAUSE
            except Replaced:
                raise
            except BusUnavailable as error:
                self._log.warning("share_log_unreachable", reason=str(error))
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def find_end(self, head: int) -> tuple[str, int, int]:
        """Return the same as ``state``, asking again for a while if the log ends before ``head``. Replaced."""
        for _ in range(LOOKS_FOR_END):
            found = await self.wait_state()
            if found[2] >= head:
                break
            await self._clock.sleep(FIRST_PAUSE)
        return found

    def reopen(self) -> None:
        """Take what is there from now on, though it be another log than before."""
        self._stream = None

    async def wait_state(self) -> tuple[str, int, int]:
        """Return the same as ``state``, waiting for the bus as long as it takes. Replaced."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self.state()
            except Replaced:
                raise
            except BusUnavailable as error:
                self._log.warning("share_log_unreachable", reason=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
