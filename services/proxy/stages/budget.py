"""How many retries a handler may make, so that they do not bury upstreams that are failing already.

An extension (``load_balancing.retry_budget``): of the requests of the last ten seconds at most a share may
be retried, and a few always. Pure: time is handed in.
"""

from __future__ import annotations

from collections import deque

from services.proxy.config import RetryBudgetConfig

WINDOW_SECONDS = 10


class RetryBudget:
    """Counts by the second."""

    def __init__(self, config: RetryBudgetConfig) -> None:
        self._config = config
        self._seconds: deque[list[int]] = deque()
        """[second, requests, retries], oldest first."""

    def note(self, now: float) -> None:
        """Count a request."""
        self._at(now)[1] += 1

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; it is counted then."""
        current = self._at(now)
        requests = sum(row[1] for row in self._seconds)
        retries = sum(row[2] for row in self._seconds)
        if retries >= max(self._config.min, self._config.share * requests):
            return False
        current[2] += 1
        return True

    def _at(self, now: float) -> list[int]:
        second = int(now)
        while self._seconds and self._seconds[0][0] <= second - WINDOW_SECONDS:
            self._seconds.popleft()
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        return self._seconds[-1]
