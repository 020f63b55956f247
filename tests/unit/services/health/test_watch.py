"""The watch over upstreams, with a clock moved by hand and probes that are told what to find."""

from types import SimpleNamespace

import pytest

from quantum.bus.memory import MemoryBus
from quantum.bus.subjects import STANDINGS, UPSTREAM_OBSERVED, UpstreamObserved
from quantum.modules.config import ModuleConfig
from quantum.modules.spec import ModuleSpec
from quantum.testing.clock import ManualClock, settle
from quantum.testing.context import make_context, make_revision
from quantum.trust.upstreams import OfThisMachine
from services.health.checks import checks_of
from services.health.service import HealthService
from services.health.verdict import Sample
from services.proxy.judging.config import HealthChecks

SPEC = ModuleSpec("http.handlers.reverse_proxy", "proxy", "x:Y", "x:Y", terminal=True)


def proxy(*dials, path="/h", interval=10.0, passes=1, fails=1, **checks):
    """Return what health sees of a reverse_proxy: its checks and its upstreams."""
    active = {
        "uri": path,
        "interval": f"{interval}s",
        "timeout": "1s",
        "passes": passes,
        "fails": fails,
    }
    config = SimpleNamespace(
        health_checks=HealthChecks.parse({"active": active, **checks}),
        transport=None,
        upstreams=[SimpleNamespace(dial=dial) for dial in dials],
        checker_id=lambda dial: f"c{path}{dial}",
    )
    return ModuleConfig(SPEC, config, "proxy", {})


class World:
    """A health room, its bucket, and what its probes find."""

    def __init__(self, tmp_path, bus=None, clock=None, process="p1"):
        self.clock = clock or ManualClock()
        self.bus = bus or MemoryBus(clock=self.clock)
        self.context = make_context("health", tmp_path, bus=self.bus, clock=self.clock)
        self.service = HealthService(self.context, process)
        self.sick: dict[str, str] = {}
        self.probed: list[str] = []

        async def probe(check):
            self.probed.append(check.upstream)
            reason = self.sick.get(check.upstream, "")
            return Sample(not reason, reason)

        self.service._prober.probe = probe
        self.context.switch.use(self.service)

    async def use(self, *modules, revision="r1"):
        await self.context.switch.apply(make_revision(revision, modules=modules))
        await settle()

    async def standings(self):
        bucket = await self.bus.bucket(STANDINGS)
        found = {}
        for key in await bucket.keys():
            standing = (await bucket.get(key)).value
            found[standing.upstream] = standing.reason if not standing.healthy else "up"
        return found


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    await world.service.start()
    yield world
    await world.service.stop(0)


async def test_the_first_check_comes_at_once_and_is_published(world):
    world.sick["b:2"] = "status 500"
    await world.use(proxy("a:1", "b:2"))
    assert await world.standings() == {"a:1": "up", "b:2": "status 500"}


async def test_checks_repeat_after_the_interval_and_a_little_jitter(world):
    await world.use(proxy("a:1"))
    await world.clock.advance(8.9)
    assert len(world.probed) == 1
    await world.clock.advance(2.2)
    assert len(world.probed) == 2


async def test_a_change_is_published_when_it_is_certain(world):
    await world.use(proxy("a:1", fails=2, passes=2))
    world.sick["a:1"] = "refused"
    await world.clock.advance(11)
    assert await world.standings() == {"a:1": "up"}
    await world.clock.advance(11)
    assert await world.standings() == {"a:1": "refused"}
    world.sick.clear()
    await world.clock.advance(11)
    assert await world.standings() == {"a:1": "refused"}
    await world.clock.advance(11)
    assert await world.standings() == {"a:1": "up"}


async def test_a_proxys_report_makes_the_check_run_now(world):
    await world.use(proxy("a:1", "b:2", interval=600))
    await world.clock.advance(1)
    world.sick["a:1"] = "refused"
    report = UpstreamObserved(process="p", upstream="a:1", outcome="failed", reason="refused")
    for _ in range(5):
        await world.bus.publish(UPSTREAM_OBSERVED, report)
        await settle()
    assert world.probed == ["a:1", "b:2", "a:1"]
    assert await world.standings() == {"a:1": "refused", "b:2": "up"}


async def test_a_standing_is_kept_fresh_but_not_written_at_each_check(world):
    await world.use(proxy("a:1", interval=1))
    bucket = await world.bus.bucket(STANDINGS)
    [key] = await bucket.keys()
    first = (await bucket.get(key)).revision
    await world.clock.advance(9)
    assert (await bucket.get(key)).revision == first
    await world.clock.advance(3)
    later = await bucket.get(key)
    assert later.revision == first + 1
    assert later.value.valid_for >= 30


async def test_a_reload_leaves_unchanged_checks_alone_and_withdraws_the_others(world):
    await world.use(proxy("a:1", "b:2"))
    await world.use(proxy("a:1", "c:3"), revision="r2")
    assert world.probed == ["a:1", "b:2", "c:3"]
    assert await world.standings() == {"a:1": "up", "c:3": "up"}


async def test_a_restarted_room_goes_on_from_what_was_published(world, tmp_path):
    world.sick["a:1"] = "refused"
    await world.use(proxy("a:1", passes=2))
    await world.service.stop(0)
    after = World(tmp_path, world.bus, world.clock)
    await after.service.start()
    await after.use(proxy("a:1", passes=2))
    assert await after.standings() == {"a:1": "refused"}
    await after.clock.advance(11)
    assert await after.standings() == {"a:1": "up"}
    await after.service.stop(0)


@pytest.mark.parametrize(
    ("dial", "path", "url"),
    [
        ("a:1", "/h?x=1", "http://a:1/h?x=1"),
        ("[::1]:80", "health", "http://[::1]:80/health"),
        (":80", "/h", "http://localhost:80/h"),
        ("unix//run/a.sock", "/h", "http://localhost/h"),
    ],
)
def test_the_url_of_a_check(dial, path, url):
    [check] = checks_of(make_revision(modules=(proxy(dial, path=path),)), OfThisMachine()).values()
    assert check.url == url
