"""The ticker: no deadline is missed, none comes early, and what is gone is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from services.edge.protocols.deadlines import HORIZON, NEVER, TICK, Deadlines


class FakeLoop:
    """A loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._callback: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeLoop:
        self._callback = callback
        return self

    def cancel(self) -> None:
        self._callback = None

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end and self._callback is not None:
            self.now += TICK
            self._callback()


class Thing:
    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.deadline = NEVER
        self.visit = NEVER
        self.is_closed = False
        self.rang: list[float] = []

    def on_deadline(self) -> None:
        self.rang.append(self._loop.now)
        self.deadline = NEVER


def make() -> tuple[FakeLoop, Deadlines, Thing, list[float]]:
    loop = FakeLoop()
    ticks: list[float] = []
    deadlines = Deadlines(loop, lambda: ticks.append(loop.now))  # type: ignore[arg-type]
    deadlines.start()
    return loop, deadlines, Thing(loop), ticks


def watch(deadlines: Deadlines, thing: Thing, deadline: float) -> None:
    thing.deadline = deadline
    if deadline < thing.visit:
        deadlines.watch(thing)


def test_a_deadline_rings_once_and_at_most_two_ticks_late() -> None:
    loop, deadlines, thing, _ = make()
    watch(deadlines, thing, 1003.2)
    loop.advance(30)
    (rang,) = thing.rang
    assert 1003.2 <= rang <= 1003.2 + 2 * TICK


def test_a_deadline_that_moves_away_does_not_ring() -> None:
    loop, deadlines, thing, _ = make()
    watch(deadlines, thing, 1002.0)
    thing.deadline = 1020.0
    loop.advance(15)
    assert thing.rang == []
    loop.advance(10)
    assert len(thing.rang) == 1


def test_a_deadline_that_moves_nearer_rings_in_time() -> None:
    loop, deadlines, thing, _ = make()
    watch(deadlines, thing, 1300.0)
    loop.advance(3)
    watch(deadlines, thing, 1004.0)
    loop.advance(3)
    assert len(thing.rang) == 1
    loop.advance(400)
    assert len(thing.rang) == 1


def test_what_has_no_deadline_is_left_alone_until_it_has_one() -> None:
    loop, deadlines, thing, _ = make()
    watch(deadlines, thing, 1002.0)
    thing.deadline = NEVER
    loop.advance(20)
    assert thing.visit == NEVER
    watch(deadlines, thing, loop.now + 2)
    loop.advance(4)
    assert len(thing.rang) == 1


def test_what_is_gone_is_forgotten_within_the_horizon() -> None:
    loop, deadlines, thing, _ = make()
    watch(deadlines, thing, 5000.0)
    thing.is_closed = True
    loop.advance(HORIZON + 2 * TICK)
    assert thing.rang == []
    assert not any(deadlines._slots.values())


def test_the_tick_goes_on_and_stops() -> None:
    loop, deadlines, _, ticks = make()
    loop.advance(2)
    assert len(ticks) == 4
    deadlines.stop()
    loop.advance(2)
    assert len(ticks) == 4
