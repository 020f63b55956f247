"""Request bodies that stopped coming, over HTTP/2 and HTTP/3, where many share a connection.

HTTP/1.1 moves a deadline with each read. Here connections are looked at every few seconds, and a body
whose reader waits by the same future as long as that was not sent a byte since.
"""

from __future__ import annotations

from collections.abc import Iterable

from quantum.errors import HttpError
from quantum.http.body import StreamBody

LOOK_SECONDS = 10.0
"""How often connections are looked at, where their limits are not shorter than that."""


class Stalls:
    """What the readers of one connection's bodies wait by, and since when."""

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: dict[object, float] = {}

    def end_overdue(self, bodies: Iterable[StreamBody], now: float, limit: float) -> int:
        """Fail the bodies that were waited for ``limit`` seconds (0 or less: none); return how many."""
        if limit <= 0:
            return 0
        waits: dict[object, float] = {}
        ended = 0
        for body in bodies:
            by = body.awaited_by
            if by is None or body.is_ended:
                continue
            since = self._waits.get(by, now)
            if now - since >= limit:
                body.fail(HttpError(408, "the body stopped coming"))
                ended += 1
            else:
                waits[by] = since
        self._waits = waits
        return ended


def look_seconds(limit: float) -> float:
    """Return how often to look so that ``limit`` is kept, give or take a half."""
    return min(LOOK_SECONDS, max(limit / 2, 0.5)) if limit > 0 else LOOK_SECONDS
