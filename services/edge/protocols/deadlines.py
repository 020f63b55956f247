"""Timeouts of many connections for next to nothing: one ticker instead of a timer per request.

A connection moves its own ``deadline``, a plain attribute. The ticker visits it when the deadline it
was registered with has passed, and finds that it moved in most cases. Only a deadline that moves to
an earlier time needs a word to the ticker.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

TICK = 0.5
"""Seconds between two looks: how late a timeout may come. Timeouts are seconds to minutes."""

HORIZON = 10.0
"""Seconds ahead that a visit is planned at most: connections that are gone are held no longer."""

NEVER = math.inf


class Timed(Protocol):
    """Something with a deadline, in the loop's time (NEVER: none now)."""

    deadline: float
    visit: float
    """When the ticker will look at it next; the ticker's own."""

    @property
    def is_closed(self) -> bool:
        """Whether it is gone: the ticker then forgets it."""

    def on_deadline(self) -> None:
        """The deadline has passed. Sets a new one, or closes."""


class Deadlines:
    """The ticker of one process's connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_tick: Callable[[], None]) -> None:
        """``on_tick`` is called at every tick as well (the Date line rides along)."""
        self._loop = loop
        self._on_tick = on_tick
        self._slots: defaultdict[int, list[Timed]] = defaultdict(list)
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._next = int(self._loop.time() / TICK)
        self._handle = self._loop.call_later(TICK, self._tick)

    def stop(self) -> None:
        """Stop ticking. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def watch(self, timed: Timed) -> None:
        """Look at ``timed`` at its present deadline, rather than at the later one it was known with."""
        timed.visit = min(timed.deadline, self._loop.time() + HORIZON)
        slot = max(int(timed.visit / TICK) + 1, self._next)
        self._slots[slot].append(timed)

    def _tick(self) -> None:
        now = self._loop.time()
        self._handle = self._loop.call_later(TICK, self._tick)
        self._on_tick()
        until = int(now / TICK)
        while self._next <= until:
            slot, self._next = self._next, self._next + 1
            for timed in self._slots.pop(slot, ()):
                self._look(timed, now)

    def _look(self, timed: Timed, now: float) -> None:
        if timed.is_closed or timed.visit > now:  # gone, or registered again elsewhere
            return
        if timed.deadline <= now:
            timed.on_deadline()
            if timed.is_closed or timed.visit > now:
                return
        if timed.deadline == NEVER:
            timed.visit = NEVER  # whoever gives it a deadline again calls ``watch``
        else:
            self.watch(timed)
