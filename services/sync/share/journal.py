"""The log of a share's operations: durable here at once, on the bus as soon as it can be reached.

An operation is written to the spool (a file of JSON lines, fsynced) before it is carried out, and
appended to the share's JetStream stream after. So a bus that is away costs nothing but time: the
spool is sent when it is back. After a crash the spool tells what was under way; the share says of
each entry whether it happened. Sending twice is harmless: the stream drops a repeated ``op_id``, and a
reader ignores what has no effect any more.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import structlog

from quantum.bus.api import Bus, Log
from quantum.bus.subjects import SHARES, ShareOperation
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet

REMEMBERED = 20_000
"""Own operation ids kept to recognise their echo: minutes of work at the rate one share reaches. (What
is forgotten too early is recognised by its effect, which costs a look at the disk.)"""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts to reach the bus: soon at first, then with little load."""


class RecentIds:
    """The ids of this process's last operations: they come back from the stream."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, op_id: str) -> None:
        """Note an id, forgetting the oldest when there are too many."""
        self._ids[op_id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def __contains__(self, op_id: str) -> bool:
        return op_id in self._ids


class Journal:
    """The log of one share in one process."""

    def __init__(self, bus: Bus, share: str, spool: Path, clock: Clock) -> None:
        self._bus = bus
        self._share = share
        self._spool = spool
        self._clock = clock
        self._log = structlog.get_logger("quantum.sync").bind(share=share)
        self._pending: deque[ShareOperation] = deque()
        self._open_intents = 0
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Operations that the bus has not confirmed yet."""
        return len(self._pending)

    def recover(self, happened: Callable[[ShareOperation], bool]) -> None:
        """Read what an earlier process left; keep what ``happened``. Blocks; before the first ``intend``."""
        self._spool.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._spool.exists():
            return
        for line in self._spool.read_text().splitlines():
            try:
                entry = ShareOperation.model_validate_json(line)
            except ValueError:
                self._log.warning("spool_line_dropped", reason="cut off by a crash")
                continue
            if happened(entry):
                self._pending.append(entry)
        self._rewrite()
        self._wake.set()

    async def intend(self, entries: list[ShareOperation]) -> None:
        """Write down, durably, what is about to be done. Then ``confirm`` or ``cancel`` it."""
        self._open_intents += 1  # before the thread writes: what is open is not cleared
        try:
            await asyncio.to_thread(self._write_down, entries)
        except BaseException:
            self._open_intents -= 1
            raise

    def _write_down(self, entries: list[ShareOperation]) -> None:
        text = "".join(entry.model_dump_json() + "\n" for entry in entries)
        with self._spool.open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def confirm(self, entries: list[ShareOperation]) -> None:
        """It is done: send it to the bus."""
        self._open_intents -= 1
        self._pending.extend(entries)
        self._wake.set()

    def cancel(self) -> None:
        """It was not done; its line goes when the spool is next cleared, and recovery tells it apart."""
        self._open_intents -= 1
        self._wake.set()

    async def send(self) -> None:
        """Send what is pending, in order, for ever."""
        pause = FIRST_PAUSE
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                log = await self._bus.stream(SHARES, self._share)
                while self._pending:
                    await log.append(self._pending[0], op_id=self._pending[0].op_id)
                    self._pending.popleft()
                pause = FIRST_PAUSE
            except BusUnavailable as error:
                self._log.warning("share_log_unreachable", backlog=self.backlog, reason=str(error))
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._wake.set()
                continue
            if not self._open_intents and not self._pending:
                self._clear()

    async def follow(self, on_operation: Callable[[ShareOperation], None]) -> None:
        """Hand over every operation that is appended from now on, by whom ever, for ever."""
        position: int | None = None
        while True:
            try:
                log: Log[ShareOperation] = await self._bus.stream(SHARES, self._share)
                if position is None:
                    position = (await log.bounds())[1]
                async for entry in log.read(position):
                    position = entry.revision
                    if entry.value is not None:
                        on_operation(entry.value)
            except BusUnavailable as error:
                self._log.warning("share_log_unreachable", reason=str(error))
            await self._clock.sleep(FIRST_PAUSE)

    def start(self, tasks: TaskSet, on_operation: Callable[[ShareOperation], None]) -> None:
        """Send and follow as tasks of ``tasks``."""
        tasks.start(self.send(), "send")
        tasks.start(self.follow(on_operation), "follow")

    def _clear(self) -> None:
        if self._spool.exists() and self._spool.stat().st_size:
            os.truncate(self._spool, 0)

    def _rewrite(self) -> None:
        fresh = self._spool.with_suffix(".new")
        with fresh.open("w") as file:
            file.writelines(entry.model_dump_json() + "\n" for entry in self._pending)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._spool)
