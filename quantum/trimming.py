"""Memory that nobody uses goes back to the system, at a moment when nobody waits.

The C library keeps what was freed: after a burst of large transfers a process holds tens of megabytes
of nothing. What connections leave behind as cycles keeps its buffers until the collector comes, and an
idle process allocates too little for it to come.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from quantum.clock import Clock

LOOK_SECONDS = 5.0
"""Between looks: soon after a burst, and rare enough to cost nothing."""
IDLE_SHARE = 0.2
"""Of a core's time: a process that used more since the last look has better things to do."""
GROWN = 1.02
"""How many times what stayed at the last time it must be now: below that there is nothing to gain."""

MOST_OBJECTS = 200_000
"""Old objects that are looked at: some 20 ms. With more, thousands of connections are open, and only the
young generations are collected."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Trimmer:
    """Decides when, from what it is told: pure."""

    def __init__(self) -> None:
        self._floor = 0
        self._busy = 0.0
        self._is_follow_up = False

    def is_due(self, resident: int, busy: float, seconds: float) -> bool:
        """Whether to trim, having used ``busy`` seconds of CPU in all, ``seconds`` after the last look."""
        share, self._busy = (busy - self._busy) / seconds, busy
        has_grown = resident > self._floor * GROWN
        if share >= IDLE_SHARE or not (has_grown or self._is_follow_up):
            return False
        self._is_follow_up = has_grown  # once more: connections of the burst are still closing
        return True

    def trimmed(self, resident: int) -> None:
        """Note what stayed."""
        self._floor = resident


async def keep_trim(clock: Clock) -> None:
    """Look for ever; returns at once where the C library cannot give memory back (not glibc)."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    trimmer = Trimmer()
    while True:
        await clock.sleep(LOOK_SECONDS)
        if trimmer.is_due(resident_bytes(), time.process_time(), LOOK_SECONDS):
            gc.collect(oldest_to_collect())
            trim(0)
            trimmer.trimmed(resident_bytes())


def oldest_to_collect() -> int:
    """Return the oldest generation whose collection nobody notices."""
    return 2 if len(gc.get_objects(generation=2)) <= MOST_OBJECTS else 1


def resident_bytes() -> int:
    """Return what this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
