"""How slow a client may be with what it sends and what it takes: the same bounds in every version.

Bytes cost nothing here. Connections are looked at every few seconds, and what has moved since the last
look is judged; a bound is therefore kept to within one look. Only time in which the client was waited
for counts against it: a handler that takes its time is not the client's fault.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

LOOK_SECONDS = 10.0
"""How often connections are looked at, where their limits are not shorter than that."""
SHORTEST_LOOK = 0.5
"""And how often at most: the tick of all deadlines."""

Bound = Literal["idle", "rate", "timeout"]


@dataclass(frozen=True)
class Pace:
    """The bounds of one direction, 0 or less for none.

    ``idle``: seconds without a byte. ``whole``: seconds from the request's begin to the last byte.
    ``rate``: bytes per second on average, after ``idle`` seconds of grace (mod_reqtimeout's MinRate);
    without ``idle`` it has no effect, as at Caddy.
    """

    idle: float = 0.0
    whole: float = 0.0
    rate: int = 0

    @property
    def shortest(self) -> float:
        """The shortest of the times, LOOK_SECONDS when there is none."""
        return min(n if n > 0 else LOOK_SECONDS for n in (self.idle, self.whole))

    def over(self, server: Pace) -> Pace:
        """Return these bounds of a route where they are set, and those of its server where they are 0."""
        return Pace(self.idle or server.idle, self.whole or server.whole, self.rate or server.rate)


@dataclass(frozen=True)
class RoutePace:
    """What a route asks of its clients instead of what its server does (``Request.pace``)."""

    read: Pace = field(default_factory=Pace)
    write: Pace = field(default_factory=Pace)
    write_chunk: int = 0


def read_pace(own: RoutePace | None, server: Pace) -> Pace:
    """Return the bounds for a request body."""
    return server if own is None else own.read.over(server)


def write_pace(own: RoutePace | None, server: Pace) -> Pace:
    """Return the bounds for an answer."""
    return server if own is None else own.write.over(server)


class Transfer:
    """One direction of one exchange, as seen at the looks."""

    __slots__ = ("_counted", "_moved", "_moved_at", "_seen_at", "_waited", "_was_waiting", "began")

    def __init__(self, began: float, moved: int, now: float, *, is_waiting: bool = True) -> None:
        """``began``: when its request did; ``moved``: bytes until ``now``."""
        self.began = began
        self._moved = moved
        self._moved_at = self._seen_at = now
        self._was_waiting = is_waiting
        self._waited = 0.0
        self._counted = 0

    def look(self, pace: Pace, moved: int, now: float, *, is_waiting: bool) -> Bound | None:
        """Return the bound that was broken. ``moved``: bytes of the whole transfer until now."""
        if 0 < pace.whole <= now - self.began:
            return "timeout"
        if is_waiting and self._was_waiting:
            self._waited += now - self._seen_at
            self._counted += moved - self._moved
        if moved != self._moved or not is_waiting:
            self._moved_at = now
        self._moved, self._seen_at, self._was_waiting = moved, now, is_waiting
        if not is_waiting or pace.idle <= 0:
            return None
        if now - self._moved_at >= pace.idle:
            return "idle"
        if pace.rate > 0 and self._waited > pace.idle + self._counted / pace.rate:
            return "rate"
        return None


K = TypeVar("K", bound=Hashable)


class Sample(NamedTuple, Generic[K]):
    """What a connection says about one of its transfers at a look."""

    key: K
    began: float
    moved: int
    is_waiting: bool
    pace: Pace


class Transfers(Generic[K]):
    """One direction of all exchanges of a connection."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[K, Transfer] = {}

    def look(self, samples: Iterable[Sample[K]], now: float) -> list[tuple[K, Bound]]:
        """Return the key of each transfer that broke a bound, and which; forget those not in ``samples``."""
        known, self._known = self._known, {}
        broke: list[tuple[K, Bound]] = []
        for key, began, moved, is_waiting, pace in samples:
            transfer = known.get(key)
            if transfer is None:
                transfer = Transfer(began, moved, now, is_waiting=is_waiting)
            bound = transfer.look(pace, moved, now, is_waiting=is_waiting)
            if bound is None:
                self._known[key] = transfer
            else:
                broke.append((key, bound))
        return broke


def look_seconds(limit: float) -> float:
    """Return how often to look so that ``limit`` is kept, give or take a half."""
    return min(LOOK_SECONDS, max(limit / 2, SHORTEST_LOOK)) if limit > 0 else LOOK_SECONDS
