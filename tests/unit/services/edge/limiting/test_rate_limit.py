"""The handler that counts requests."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.errors import ConfigError, HttpError
from quantum.http.body import read_all
from quantum.http.message import Response
from quantum.http.response_fields import early_fields
from quantum.testing.clock import ManualClock
from quantum.testing.handler import PulledBody
from quantum.testing.routing import make_compiler, make_request, parse_routes
from services.edge.limiting import zones
from services.edge.limiting.handler import EXCEEDED, RateLimits
from services.edge.limiting.modules import MODULES as LIMITING
from services.edge.limiting.sharing import SharedCounts
from services.edge.modules import MODULES

MINUTE = {"window": "1m", "max_events": 2}


class World:
    """A process that limits: its zones, its clock, what is answered behind the limits."""

    def __init__(self, clock=None):
        self.clock = clock or ManualClock()
        self.limits = RateLimits(CollectorRegistry())
        self.answer = lambda: Response(200)

    def chain(self, rate_limits, **more):
        handler = {"handler": "rate_limit", "rate_limits": rate_limits, **more}
        routes = parse_routes([*MODULES, *LIMITING], [{"handle": [handler]}])
        compiler = make_compiler(None, {RateLimits: self.limits}, self.clock)

        async def end(request):
            return self.answer()

        return compiler.compile(routes, end)


async def ask(chain, request=None):
    """Return the status, and the seconds after which to come again."""
    request = request or make_request()
    try:
        return (await chain(request)).status, None
    except HttpError as error:
        return error.status, early_fields(request).get(b"retry-after")


async def test_who_asks_too_often_is_told_when_to_come_again():
    world = World()
    chain = world.chain({"all": MINUTE})
    assert [await ask(chain) for _ in range(3)] == [(200, None), (200, None), (429, b"60")]
    await world.clock.advance(59)
    assert await ask(chain) == (429, b"1")
    await world.clock.advance(1)
    assert await ask(chain) == (200, None)


async def test_each_value_of_a_key_has_a_count_of_its_own():
    chain = World().chain({"each": {**MINUTE, "key": "{http.request.remote.host}"}})
    first, second = ([make_request(peer=peer)] * 3 for peer in ("192.0.2.1", "192.0.2.2"))
    assert [(await ask(chain, r))[0] for r in [*first, *second]] == [200, 200, 429] * 2


async def test_only_what_a_zone_matches_is_counted_in_it():
    chain = World().chain({"posts": {**MINUTE, "match": [{"method": ["POST"]}]}})
    assert [(await ask(chain))[0] for _ in range(4)] == [200] * 4
    posts = [(await ask(chain, make_request("POST")))[0] for _ in range(3)]
    assert posts == [200, 200, 429]


async def test_a_request_that_one_zone_refuses_is_counted_in_none():
    world = World()
    chain = world.chain({
        "wide": {"window": "1h", "max_events": 3},
        "narrow": {"window": "10s", "max_events": 1},
    })  # fmt: skip
    statuses = [(await ask(chain))[0] for _ in range(10)]
    assert statuses == [200] + [429] * 9
    await world.clock.advance(10)
    assert (await ask(chain))[0] == 200


async def test_error_routes_and_logs_learn_the_zone_that_was_exceeded():
    chain = World().chain({"none": {"window": "1m", "max_events": 0}})
    request = make_request()
    assert await ask(chain, request) == (429, b"60")
    assert request.vars[EXCEEDED] == "none"


async def test_a_changed_configuration_gives_nobody_a_fresh_allowance():
    world = World()
    chain = world.chain({"all": MINUTE})
    assert [(await ask(chain))[0] for _ in range(2)] == [200, 200]
    assert (await ask(world.chain({"all": MINUTE})))[0] == 429
    wider = world.chain({"all": {"window": "1m", "max_events": 3}})
    assert [(await ask(wider))[0] for _ in range(2)] == [200, 429]
    assert (await ask(chain))[0] == 429  # the one in force still limits as it says


async def test_jitter_only_lengthens_the_wait():
    chain = World().chain({"none": {"window": "100s", "max_events": 0}}, jitter=0.5)
    waits = {int((await ask(chain))[1]) for _ in range(50)}
    assert min(waits) >= 100
    assert max(waits) <= 150
    assert len(waits) > 5


async def test_so_many_requests_run_at_a_time_and_no_more():
    world = World()
    chain = world.chain({"few": {"max_concurrent": 2}})
    bodies = [PulledBody(_never()) for _ in range(2)]
    queue = list(bodies)
    world.answer = lambda: Response(200, body=queue.pop())
    answers = [await chain(make_request()) for _ in range(2)]
    assert await ask(chain) == (429, b"1")
    await answers[0].body.aclose()
    world.answer = lambda: Response(204)
    assert await ask(chain) == (204, None)
    assert await ask(chain) == (204, None)  # an answer in memory holds no place


async def test_a_place_is_free_again_however_a_request_ends():
    world = World()
    chain = world.chain({"one": {"max_concurrent": 1}})

    def fails():
        raise HttpError(502)

    async def ended(stream):
        raise ConnectionResetError

    world.answer = fails
    assert (await ask(chain))[0] == 502
    world.answer = lambda: Response(200, body=PulledBody(_pieces(b"a", b"b"), 2))
    assert await read_all((await chain(make_request())).body, 10) == b"ab"
    world.answer = lambda: Response(101, upgrade=ended)
    tunnel = await chain(make_request())
    assert (await ask(chain))[0] == 429
    with pytest.raises(ConnectionResetError):
        await tunnel.upgrade(None)
    forgotten = await chain(make_request())
    assert (await ask(chain))[0] == 429
    del forgotten
    assert (await ask(chain))[0] == 101


async def test_processes_that_limit_together_count_together():
    bus, clock = MemoryServer(), ManualClock()
    worlds = [World(clock) for _ in range(2)]
    shared, chains, tasks = [], [], []
    for number, world in enumerate(worlds):
        counts = SharedCounts(world.limits.zones, MemoryBus(bus), clock, f"p{number}")
        tasks.append(asyncio.create_task(counts.run()))
        shared.append(counts)
        chains.append(world.chain({"all": {"window": "1m", "max_events": 3}}, distributed={}))
    await clock.advance(0)
    assert [(await ask(chains[0]))[0] for _ in range(2)] == [200, 200]
    await clock.advance(1)
    assert [(await ask(chains[1]))[0] for _ in range(2)] == [200, 429]
    await clock.advance(1)
    assert (await ask(chains[0]))[0] == 429
    for task in tasks:
        task.cancel()
    for counts in shared:
        await counts.aclose()


async def test_a_zone_remembers_a_bounded_number_of_keys(monkeypatch):
    monkeypatch.setattr(zones, "MAX_KEYS", 10)
    world = World()
    chain = world.chain({"each": {**MINUTE, "key": "{http.request.remote.host}"}})
    for number in range(30):
        assert (await ask(chain, make_request(peer=f"192.0.2.{number}")))[0] == 200
    assert len(world.limits.zones.get("each")._windows) <= 10


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ({}, "needs a window"),
        ({"max_events": 3}, "needs a window"),
        ({"window": "1m", "max_concurrent": 3}, "make it two zones"),
        ({"window": "1m", "max_events": -1}, "greater than or equal to 0"),
        ({"window": "1m", "burst": 3}, "burst"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused_with_its_place(zone, problem):
    with pytest.raises(ConfigError, match=problem) as raised:
        World().chain({"z": zone})
    assert raised.value.path.startswith("apps.http.servers.srv0.routes[0].handle[0].rate_limits.z")


async def _never():
    yield b"a"
    await asyncio.get_running_loop().create_future()


async def _pieces(*pieces):
    for piece in pieces:
        yield piece
