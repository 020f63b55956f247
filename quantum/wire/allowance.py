"""An allowance that grows back with time: so much at once, so much per second (a token bucket)."""

from __future__ import annotations


class Allowance:
    """Full at first. ``spend`` says whether there was something left."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, rate: float, now: float) -> None:
        """``burst`` units at most, ``rate`` more per second; ``now`` in the caller's seconds."""
        self._burst = float(burst)
        self._rate = rate
        self._left = self._burst
        self._at = now

    def spend(self, now: float) -> bool:
        """Take one unit; False: there was none."""
        grown = self._left + (now - self._at) * self._rate
        self._left = min(self._burst, grown) - 1.0
        self._at = now
        return self._left >= 0.0

    def add(self, units: float) -> None:
        """Give some back, for what was earned."""
        self._left = min(self._burst, self._left + units)
