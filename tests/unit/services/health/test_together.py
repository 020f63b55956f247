"""What follows from the figures of several proxies, and from upstreams that proxies find by themselves."""

import pytest

from quantum.bus.subjects import (
    UPSTREAM_SETS,
    UPSTREAMS_MEASURED,
    UpstreamFigures,
    UpstreamSet,
    UpstreamsMeasured,
    key_of,
)
from quantum.testing.clock import settle
from tests.unit.services.health.test_watch import World, proxy

PASSIVE = {"passive": {"fail_duration": "20s", "max_fails": 4}}
OUTLIER = {"outlier": {"min_requests": 10, "window": "10s", "eject_for": "15s", "max_ejected": 0.5}}


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    await world.service.start()
    yield world
    await world.service.stop(0)


async def measure(world, process, **rows):
    figures = [UpstreamFigures(upstream=f"{name}:1", **row) for name, row in rows.items()]
    await world.bus.publish(UPSTREAMS_MEASURED, UpstreamsMeasured(process=process, figures=figures))
    await world.clock.advance(1.1)


async def reasons(world):
    """Return what speaks against upstreams beside the active checks."""
    from quantum.bus.subjects import STANDINGS

    bucket = await world.bus.bucket(STANDINGS)
    found = {}
    for key in await bucket.keys():
        standing = (await bucket.get(key)).value
        if standing.checker.startswith("passive-") and not standing.healthy:
            found[standing.upstream] = standing.reason
    return found


async def test_failures_that_two_proxies_saw_count_together(world):
    await world.use(proxy("a:1", "b:1", **PASSIVE))
    await measure(world, "p1", a={"strikes": 3})
    assert await reasons(world) == {}
    await measure(world, "p2", a={"strikes": 1}, b={"strikes": 1})
    assert await reasons(world) == {"a:1": "4 failed requests at 2 proxies"}


async def test_failures_that_one_proxy_saw_speak_for_nobody_else(world):
    await world.use(proxy("a:1", "b:1", **PASSIVE))
    await measure(world, "p1", a={"strikes": 100})
    await measure(world, "p2", a={"requests": 50, "answers": 50})
    assert await reasons(world) == {}


async def test_they_are_forgotten_after_fail_duration(world):
    await world.use(proxy("a:1", **PASSIVE))
    await measure(world, "p1", a={"strikes": 3})
    await measure(world, "p2", a={"strikes": 3})
    assert len(await reasons(world)) == 1
    await world.clock.advance(15)
    assert len(await reasons(world)) == 1
    await world.clock.advance(6)
    assert await reasons(world) == {}


async def test_an_outlier_is_found_in_the_sum_of_what_each_proxy_saw_little_of(world):
    await world.use(proxy("a:1", "b:1", "c:1", **OUTLIER))
    well = {"requests": 6, "answers": 6, "seconds": 0.06}
    for process in ("p1", "p2"):
        await measure(world, process, a={**well, "errors": 3}, b=well, c=well)
    assert await reasons(world) == {"a:1": "50% of 12 requests failed at all proxies"}
    await world.clock.advance(16)
    assert await reasons(world) == {}


async def test_a_process_that_fell_silent_is_forgotten(world):
    await world.use(proxy("a:1", **PASSIVE))
    await measure(world, "p1", a={"strikes": 1})
    await world.clock.advance(40)
    assert world.service._replicas._sources == {}


async def test_upstreams_that_a_proxy_found_are_checked_until_it_no_longer_has_them(world):
    await world.use(proxy("a:1"))
    sets = await world.bus.bucket(UPSTREAM_SETS)
    found = UpstreamSet(process="p1", revision="r1", path="proxy", upstreams=["n:1", "m:1"])
    await sets.put(key_of("p1|proxy"), found)
    await settle()
    assert set(world.probed) == {"a:1", "n:1", "m:1"}
    await sets.put(key_of("p1|proxy"), found.model_copy(update={"upstreams": ["n:1"]}))
    await settle()
    assert set(await world.standings()) == {"a:1", "n:1"}
    other = UpstreamSet(process="p2", revision="old", path="proxy", upstreams=["x:1"])
    await sets.put(key_of("p2|proxy"), other)
    await settle()
    assert "x:1" not in world.probed
    await sets.delete(key_of("p1|proxy"))
    await settle()
    assert set(await world.standings()) == {"a:1"}
