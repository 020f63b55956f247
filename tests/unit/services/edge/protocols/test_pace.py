"""When a transfer is too slow, as told by what moved between two looks."""

import asyncio
from types import SimpleNamespace

import pytest

from quantum.http.message import ConnectionFacts, Response
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1 import H1Connection
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.host import Limits, Site
from services.edge.protocols.pace import (
    Pace,
    RoutePace,
    Sample,
    Transfer,
    Transfers,
    look_seconds,
    read_pace,
    write_pace,
)


def looks(pace: Pace, seen: list[tuple[int, bool]], every: float = 1.0) -> list[str | None]:
    """What each look says of a transfer that was waited for from the start."""
    transfer = Transfer(0.0, 0, 0.0)
    return [
        transfer.look(pace, moved, every * (n + 1), is_waiting=is_waiting)
        for n, (moved, is_waiting) in enumerate(seen)
    ]


def test_a_transfer_that_moves_at_every_look_is_never_idle() -> None:
    assert looks(Pace(idle=2), [(n, True) for n in range(1, 50)]) == [None] * 49


def test_a_transfer_that_stands_still_is_idle_after_the_time() -> None:
    assert looks(Pace(idle=2), [(5, True), (5, True), (5, True)]) == [None, None, "idle"]


def test_time_in_which_the_client_was_not_waited_for_does_not_count() -> None:
    still = [(5, True), (5, False), (5, False), (5, False), (5, True), (5, True)]
    assert looks(Pace(idle=2), still) == [None, None, None, None, None, "idle"]
    slow = [(n, False) for n in range(20)]
    assert looks(Pace(idle=2, rate=1000), slow) == [None] * 20


def test_a_rate_is_an_average_with_idle_seconds_of_grace() -> None:
    steady = [(100 * n, True) for n in range(1, 9)]
    assert looks(Pace(idle=3, rate=101), steady)[:7] == [None] * 7
    assert looks(Pace(idle=3, rate=200), steady) == [*[None] * 6, "rate", "rate"]


def test_a_rate_without_an_idle_time_has_no_effect() -> None:
    assert looks(Pace(rate=1000), [(n, True) for n in range(20)]) == [None] * 20


def test_a_whole_timeout_passes_though_everything_moves() -> None:
    assert looks(Pace(whole=3), [(9 * n, n != 2) for n in range(3)]) == [None, None, "timeout"]


def test_negative_bounds_are_none() -> None:
    assert looks(Pace(-1, -1, 0), [(0, True)] * 100) == [None] * 100


def test_transfers_are_judged_one_by_one_and_forgotten_with_their_stream() -> None:
    transfers: Transfers[str] = Transfers()
    pace = Pace(idle=1)
    first = [Sample("a", 0, 1, True, pace), Sample("b", 0, 1, True, pace)]
    assert transfers.look(first, 0) == []
    both = [Sample("a", 0, 2, True, pace), Sample("b", 0, 1, True, pace)]
    assert transfers.look(both, 1.5) == [("b", "idle")]
    assert transfers.look(both, 1.6) == []  # b is looked at anew


def test_a_route_has_its_own_bounds_and_the_servers_where_it_sets_none() -> None:
    server = Pace(idle=60, whole=600, rate=7)
    assert write_pace(RoutePace(write=Pace(idle=1)), server) == Pace(1, 600, 7)
    assert read_pace(RoutePace(read=Pace(idle=-1, rate=9)), server) == Pace(-1, 600, 9)
    assert read_pace(None, server) is write_pace(None, server) is server


def test_connections_look_as_often_as_a_route_asks() -> None:
    assert Limits(1, 1, 1, shortest_of_routes=3.0).look == 1.5


@pytest.mark.parametrize(("limit", "seconds"), [(60, 10), (8, 4), (0.2, 0.5), (0, 10), (-1, 10)])
def test_looks_are_as_frequent_as_the_limit_asks(limit, seconds) -> None:
    assert look_seconds(limit) == seconds


class SlowSocket(asyncio.Transport):
    """Holds what is written until the test lets some of it go."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self.written: list[int] = []
        self.is_aborted = self._is_closed = False

    def write(self, data) -> None:
        self.held += len(data)
        self.written.append(len(data))

    def get_write_buffer_size(self) -> int:
        return self.held

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self._is_closed = True

    def is_closing(self) -> bool:
        return self._is_closed


class World:
    """An HTTP/1.1 connection whose client takes its time, and the time."""

    def __init__(self, body: bytes, limits: Limits) -> None:
        async def answer(request) -> Response:
            return Response(200, body=body)

        async def fail(request, error) -> Response:
            raise error

        self.now = 0.0
        self.reached: list[str] = []
        loop = asyncio.get_running_loop()
        host = SimpleNamespace(
            loop=SimpleNamespace(
                time=lambda: self.now,
                create_future=loop.create_future,
                call_soon=loop.call_soon,
                create_task=loop.create_task,
            ),
            site=Site("s", answer, fail, limits),
            stamps=Stamps(),
            deadlines=SimpleNamespace(watch=lambda timed: None),
            is_draining=False,
            joined=lambda connection: None,
            left=lambda connection: None,
            reached=self.reached.append,
        )
        self.socket = SlowSocket()
        self.connection = H1Connection(host, ConnectionFacts(("a", 1), ("b", 2), "http"))
        self.connection.connection_made(self.socket)

    def pass_time(self, seconds: float) -> None:
        """What the ticker does."""
        self.now += seconds
        if self.connection.deadline <= self.now:
            self.connection.on_deadline()


LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def test_a_large_answer_in_memory_is_taken_slowly_for_as_long_as_it_takes() -> None:
    limits = Limits(16384, 60, 300, write=Pace(idle=60), write_chunk=1_000_000)
    world = World(b"x" * 900_000, limits)
    world.connection.data_received(LAST)
    world.connection.pause_writing()
    for _ in range(80):  # a thousand bytes a second for a quarter of an hour
        world.socket.held -= 10_000
        world.pass_time(10)
        assert not world.socket.is_aborted
    for _ in range(7):
        world.pass_time(10)
    assert world.socket.is_aborted
    assert world.reached == ["write_idle"]
    world.connection.connection_lost(None)


async def test_a_large_answer_in_memory_is_handed_on_in_pieces() -> None:
    world = World(b"x" * 250_000, Limits(16384, 60, 300, write_chunk=100_000))
    world.connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [size // 1000 for size in world.socket.written] == [
        100,
        100,
        50,
    ]  # the head with the first
    world.connection.connection_lost(None)


async def test_a_connection_that_caught_up_waits_for_its_next_request_from_then_on() -> None:
    world = World(b"hello", Limits(16384, 60, 300, write=Pace(idle=60)))
    world.connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.connection.pause_writing()
    for _ in range(40):
        world.socket.held -= 1
        world.pass_time(10)
    world.connection.resume_writing()
    assert world.connection.deadline == world.now + 300
    world.connection.connection_lost(None)
    assert world.connection.deadline == NEVER


async def test_pauses_do_not_put_the_look_off() -> None:
    world = World(b"x" * 900_000, Limits(16384, 60, 300, write=Pace(idle=60, rate=1_000_000)))
    world.connection.data_received(LAST)
    for _ in range(100):
        world.connection.pause_writing()
        world.pass_time(1)
        world.socket.held -= 1
        if world.socket.is_aborted:
            break
        world.connection.resume_writing()
    assert world.reached == ["write_rate"]
    world.connection.connection_lost(None)
