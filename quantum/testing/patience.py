"""How long somebody waits, in time that this process was allowed to run.

A long show is paused while others measure something: what the clock says then is nobody's delay.
"""

import time

PAUSE_SECONDS = 5.0
"""A step that took longer was a pause: between two questions no request may take so long."""


class Patience:
    """Seconds to wait; ``is_over`` is asked at least every few seconds."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether they have passed."""
        now = time.monotonic()
        self._left -= min(now - self._last, PAUSE_SECONDS)
        self._last = now
        return self._left <= 0
