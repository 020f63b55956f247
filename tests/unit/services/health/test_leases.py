"""Several health processes, one bus: each upstream is checked by exactly one of them."""

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.bus.subjects import UPSTREAM_CHANGED
from quantum.testing.clock import ManualClock, settle
from tests.unit.services.health.test_watch import World, proxy


@pytest.fixture
async def two(tmp_path):
    clock = ManualClock()
    server = MemoryServer(clock)
    worlds = [World(tmp_path, MemoryBus(server), clock, process) for process in ("first", "second")]
    for world in worlds:
        await world.service.start()
        await world.use(proxy("a:1", "b:2", interval=2))
    yield worlds
    for world in worlds:
        await world.service.stop(0)
    await server.aclose()


async def test_one_checks_and_the_other_waits(two):
    one, other = two
    await one.clock.advance(21)
    assert len(one.probed) >= 18
    assert other.probed == []


async def test_when_the_one_stops_the_other_takes_over_at_once_and_goes_on_from_its_standing(two):
    one, other = two
    one.sick["a:1"] = other.sick["a:1"] = "refused"
    await one.clock.advance(3)
    await one.service.stop(0)
    await settle()
    assert set(other.probed) == {"a:1", "b:2"}
    assert await other.standings() == {"a:1": "refused", "b:2": "up"}


async def test_when_the_one_dies_the_other_takes_over_within_four_seconds(two):
    one, other = two
    await one.clock.advance(3)
    one.bus.cut()  # it hears and says nothing more: for the others it is dead
    await one.clock.advance(4)
    assert set(other.probed) == {"a:1", "b:2"}


async def test_who_was_away_while_another_took_over_leaves_the_checks_to_it(two):
    one, other = two
    await one.clock.advance(3)
    one.bus.cut()
    await one.clock.advance(5)
    await one.bus.restore()
    await one.clock.advance(2)
    count = len(one.probed)
    await one.clock.advance(10)
    assert len(one.probed) == count
    assert len(other.probed) > 5


async def test_while_the_bus_is_away_who_checked_goes_on_and_nobody_joins(two):
    one, other = two
    await one.clock.advance(1)
    for world in two:
        world.bus.cut()
    before = len(one.probed)
    await one.clock.advance(10)
    assert len(one.probed) > before + 5
    assert other.probed == []


async def test_every_change_is_an_event_and_stays_in_the_history(two):
    from quantum.bus.subjects import STANDINGS

    one, other = two
    heard = []

    async def hear(fact):
        heard.append((fact.event, fact.upstream, fact.reason))

    await other.bus.subscribe(UPSTREAM_CHANGED, hear)
    await one.clock.advance(1)
    one.sick["a:1"] = "refused"
    await one.clock.advance(3)
    del one.sick["a:1"]
    await one.clock.advance(3)
    assert heard == [("unhealthy", "a:1", "refused"), ("healthy", "a:1", "")]
    bucket = await other.bus.bucket(STANDINGS)
    standings = [(await bucket.get(key)).value for key in await bucket.keys()]
    [standing] = [s for s in standings if s.upstream == "a:1"]
    assert [(c.healthy, c.reason) for c in standing.history] == [(False, "refused"), (True, "")]
    label = {"upstream": "a:1", "event": "unhealthy"}
    name = "quantum_health_upstream_changes_total"
    assert one.context.metrics.get_sample_value(name, label) == 1


async def test_an_upstream_that_flaps_needs_more_and_more_good_checks(two):
    one, _ = two
    spans = []
    for _ in range(6):
        one.sick["a:1"] = "refused"
        while (await one.standings())["a:1"] == "up":
            await one.clock.advance(0.5)
        del one.sick["a:1"]
        began = one.clock.monotonic()
        while (await one.standings())["a:1"] != "up":
            await one.clock.advance(0.5)
        spans.append(one.clock.monotonic() - began)
    assert max(spans[:3]) <= 2.6
    assert 3.0 <= spans[3] <= 5.1
    assert spans[5] > 13
