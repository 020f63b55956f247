"""The lives of a share: what runs in it ends together, and begins again together.

A share whose log is read no more, or whose writers are gone, must not go on with the rest: it would answer
with what is old. So whatever fails that nobody foresaw ends all of it; after a pause everything begins as
at a start of the process, from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from quantum.bus.api import Replaced
from quantum.clock import Clock
from quantum.tasks import TaskSet

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 60.0
"""Seconds between two lives: what failed by chance is soon over, what fails for ever costs little."""

STEADY_SECONDS = 60.0
"""A life that lasted so long was a good one: the next pause is short again."""


class Lives:
    """One life after the other, for as long as the share is open."""

    def __init__(
        self, name: str, clock: Clock, live: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        """``live`` is a life, ``end`` clears up after it: it MUST call ``aclose`` of ``tasks``."""
        self._clock = clock
        self._live = live
        self._end = end
        self._log = structlog.get_logger("quantum.sync").bind(share=name)
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self.tasks = TaskSet(f"share:{name}", self.fail)
        """What belongs to one life: a failure of any of them ends it."""
        self.ended = 0
        """How many lives are over."""

    def fail(self, error: BaseException) -> None:
        """End this life: the next one begins soon."""
        if self._failure is None:
            self._failure = error
            self._failed.set()

    async def run(self) -> None:
        """Live, for ever."""
        pause = FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            self.tasks.start(self._run_once(), "run")
            await self._failed.wait()
            await self._clear_up()
            if self._clock.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self) -> None:
        try:
            await self._live()
        except Replaced as error:  # foreseen: no trace of it in the log
            self.fail(error)

    async def _clear_up(self) -> None:
        reason = f"{type(self._failure).__name__}: {self._failure}"
        self._log.error("share_begins_anew", reason=reason, times=self.ended + 1)
        try:
            await self._end()
        except Exception as error:  # noqa: BLE001 - the next life may do better, none at all cannot
            self._log.error("share_not_ended_well", exc_info=error)
            await self.tasks.aclose()
        self.ended += 1
        self._failure = None
        self._failed.clear()
