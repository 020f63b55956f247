"""How often somebody may do something."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MAX_CLIENTS = 10_000
"""Clients remembered; the one that was away longest is forgotten, and begins anew."""


class Rates:
    """So many events in so many seconds for each client: a bucket that fills again."""

    def __init__(self, monotonic: Callable[[], float], events: int, seconds: float) -> None:
        self._monotonic = monotonic
        self._events = float(events)
        self._refill = events / seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Count one event; False when there were too many."""
        now = self._monotonic()
        left, before = self._left.pop(client, (self._events, now))
        left = min(self._events, left + (now - before) * self._refill)
        allowed = left >= 1.0
        self._left[client] = (left - 1.0 if allowed else left), now
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return allowed
