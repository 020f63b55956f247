"""The watch over one upstream: while its lease is ours, checks it again and again and publishes what follows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from quantum.clock import Clock
from quantum.tasks import TaskSet
from services.health.board import Board, Subject, valid_seconds
from services.health.checks import Check
from services.health.verdict import Sample, Verdict, judge, passes_needed

JITTER = 0.1
"""Intervals vary by this part: checks of many processes must not march in step."""
MIN_PAUSE = 0.2
"""Seconds between two checks of one upstream, however many reports of failures come in."""

Probe = Callable[[Check], Awaitable[Sample]]


class Watch:
    """One check's life: the first probe when the lease is there, then one per interval, extra ones on ``look_now``."""

    def __init__(
        self,
        check: Check,
        probe: Probe,
        board: Board,
        clock: Clock,
        revision: str,
        on_sample: Callable[[Check, Sample, Verdict], None],
    ) -> None:
        self.check = check
        self.revision = revision
        self.verdict = Verdict()
        self._probe = probe
        self._board = board
        self._clock = clock
        self._on_sample = on_sample
        active = check.active
        valid_for = valid_seconds(active.interval, active.timeout)
        self._subject = Subject(check.key, check.checker, check.upstream, valid_for)
        self._random = random.Random()  # noqa: S311 - spreads load
        self._tasks = TaskSet(f"health:{check.upstream}")
        self._running: asyncio.Task[None] | None = None
        self._is_looking = False
        self._looked = float("-inf")

    @property
    def is_ours(self) -> bool:
        """Whether this process makes the check."""
        return self._running is not None

    def begin(self) -> None:
        """Check from now on: the lease is ours."""
        if self._running is None:
            self._running = self._tasks.start(self._run())

    def pause(self) -> None:
        """Leave it to another process."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def aclose(self) -> None:
        """End; a probe under way is broken off."""
        self._running = None
        await self._tasks.aclose()

    def look_now(self) -> None:
        """Check at once, unless that is another's work, or is happening or has just happened."""
        is_recent = self._clock.monotonic() - self._looked < MIN_PAUSE
        if self.is_ours and not self._is_looking and not is_recent:
            self._tasks.start(self._look())

    async def _run(self) -> None:
        self.verdict = await self._board.starting_verdict(self.check.key)
        while True:
            await self._look()
            spread = self._random.uniform(1 - JITTER, 1 + JITTER)
            await self._clock.sleep(self.check.active.interval * spread)

    async def _look(self) -> None:
        if self._is_looking:
            return
        self._is_looking = True
        try:
            sample = await self._probe(self.check)
            self._looked = self._clock.monotonic()
            await self._conclude(sample)
        finally:
            self._is_looking = False

    async def _conclude(self, sample: Sample) -> None:
        active = self.check.active
        falls = self._board.falls(self.check.key)
        passes = passes_needed(active.passes, falls, self._clock.now())
        self.verdict = judge(self.verdict, sample, passes=passes, fails=active.fails)
        self._on_sample(self.check, sample, self.verdict)
        if self.verdict.is_known and self.is_ours:
            await self._board.publish(self._subject, self.verdict, self.revision)
