"""Events in a sliding window, in memory that does not grow with how many are allowed."""

from __future__ import annotations

from collections import deque

GRAINS = 256
"""Events within a 256th of the window are one entry, and leave it with the last of them: at most 257
entries for each key however many events a limit allows, and never one event more than it allows."""


class SlidingWindow:
    """The events of one key. The window is the caller's: the same events may be seen through another."""

    __slots__ = ("_count", "_entries")

    def __init__(self) -> None:
        self._entries: deque[list[float]] = deque()
        """[first, last, count] of the events that are one entry."""
        self._count = 0

    def wait(self, now: float, events: int, seconds: float) -> float:
        """Return how long until one more is within ``events`` in any ``seconds``; 0: now."""
        if events <= 0:
            return seconds
        entries = self._entries
        gone = now - seconds
        while entries and entries[0][1] <= gone:
            self._count -= int(entries.popleft()[2])
        surplus = self._count - events + 1
        if surplus <= 0:
            return 0.0
        for _, last, count in entries:
            surplus -= int(count)
            if surplus <= 0:
                return last + seconds - now
        return seconds

    def add(self, now: float, seconds: float, count: int = 1) -> None:
        """Note ``count`` events that are happening."""
        entries = self._entries
        self._count += count
        if entries and now - entries[-1][0] < seconds / GRAINS:
            entries[-1][1] = now
            entries[-1][2] += count
        else:
            entries.append([now, now, count])

    def is_over(self, now: float, seconds: float) -> bool:
        """Whether no event is within ``seconds``."""
        return not self._entries or self._entries[-1][1] <= now - seconds
