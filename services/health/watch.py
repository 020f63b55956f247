"""The watch over one upstream: checks it again and again and publishes what follows."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog

from quantum.clock import Clock
from quantum.tasks import TaskSet
from services.health.board import Board
from services.health.checks import Check
from services.health.verdict import Sample, Verdict, judge

JITTER = 0.1
"""Intervals vary by this part: checks of many processes must not march in step."""
MIN_PAUSE = 0.2
"""Seconds between two checks of one upstream, however many reports of failures come in."""

Probe = Callable[[Check], Awaitable[Sample]]


class Watch:
    """One check's life: the first probe at once, then one per interval, extra ones on ``look_now``."""

    def __init__(
        self,
        check: Check,
        probe: Probe,
        board: Board,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        revision: str,
        on_sample: Callable[[Check, Sample, Verdict], None],
    ) -> None:
        self.check = check
        self.revision = revision
        self.verdict = Verdict()
        self._probe = probe
        self._board = board
        self._clock = clock
        self._log = log
        self._on_sample = on_sample
        self._random = random.Random()  # noqa: S311 - spreads load
        self._tasks = TaskSet(f"health:{check.upstream}")
        self._is_looking = False
        self._looked = float("-inf")

    def start(self) -> None:
        """Begin."""
        self._tasks.start(self._run())

    async def aclose(self) -> None:
        """End; a probe under way is broken off."""
        await self._tasks.aclose()

    def look_now(self) -> None:
        """Check at once, unless that is happening or has just happened."""
        if not self._is_looking and self._clock.monotonic() - self._looked >= MIN_PAUSE:
            self._tasks.start(self._look())

    async def _run(self) -> None:
        self.verdict = await self._board.starting_verdict(self.check)
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
        active, before = self.check.active, self.verdict
        self.verdict = judge(before, sample, passes=active.passes, fails=active.fails)
        self._on_sample(self.check, sample, self.verdict)
        if self.verdict.healthy != before.healthy:
            event = "upstream_recovered" if self.verdict.healthy else "upstream_went_down"
            self._log.warning(event, upstream=self.check.upstream, reason=sample.reason)
        if self.verdict.is_known:
            await self._board.publish(self.check, self.verdict, self.revision)
