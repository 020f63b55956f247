"""The bus on a real nats-server passes the conformance suite, killed servers included."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from nats.js.errors import ServiceUnavailableError
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from quantum.bus.api import Conflict
from quantum.bus.nats import NatsBus, link
from quantum.clock import SystemClock
from quantum.errors import BusUnavailable, QuantumError
from quantum.service.embedded import EmbeddedServer
from quantum.testing.bus import BUS_CHECKS, FACT, LINES, WORDS, Collector, Word, until
from quantum.testing.topology import freeze


class NatsWorld:
    """An embedded server; ``take_away`` kills it with SIGKILL."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.server = None
        self.buses = []

    async def start(self):
        self.server = EmbeddedServer(self.data_dir, SystemClock())
        await self.server.start()

    async def connect(self):
        bus = self.make_bus()
        assert await bus.wait_connected(10)
        return bus

    def make_bus(self, **changes):
        options = {"token": self.server.token, "metrics": CollectorRegistry()} | changes
        bus = NatsBus(self.server.url, clock=SystemClock(), **options)
        bus.start()
        self.buses.append(bus)
        return bus

    async def take_away(self):
        await self.server._tasks.aclose()  # nobody starts it again for now
        os.kill(self.server.pid, signal.SIGKILL)
        await self.server._process.wait()

    async def bring_back(self):
        await self.start()
        for bus in self.buses:
            assert await bus.wait_connected(10)

    async def pass_time(self, seconds):
        await asyncio.sleep(seconds)

    async def aclose(self):
        for bus in self.buses:
            await bus.aclose()
        await self.server.stop()


@pytest.fixture
async def world(tmp_path):
    world = NatsWorld(tmp_path)
    await world.start()
    yield world
    await world.aclose()


@pytest.mark.parametrize("check", BUS_CHECKS, ids=lambda check: check.__name__)
async def test_nats_keeps_the_promises_of_a_bus(check, world):
    await check(world)


@pytest.mark.parametrize("count", [1, 40])
async def test_what_was_stored_and_not_acknowledged_is_not_stored_again(world, monkeypatch, count):
    bus = await world.connect()
    log = await bus.stream(LINES, "lost")
    assert await log.append(Word(text="before"), expected_last=0) == 1
    client, left = bus._link.session.client, [2]

    async def lose_one(subject, *args, request=client.request, **more):
        answer = await request(subject, *args, **more)
        if subject == f"{LINES.name}.lost" and left[0]:
            left[0] -= 1
            raise ServiceUnavailableError
        return answer

    monkeypatch.setattr(client, "request", lose_one)
    words = [Word(text=str(number)) for number in range(count)]
    assert await log.append_all(words, expected_last=1) == 1 + count
    assert left == [0]
    assert await log.bounds() == (1, 1 + count)


async def test_an_entry_of_another_in_the_middle_ends_a_chain(world, monkeypatch):
    """It takes the place of one of the chain: those behind that one are not stored behind the other."""
    bus, other = await world.connect(), await world.connect()
    log, theirs = await bus.stream(LINES, "chain"), await other.stream(LINES, "chain")
    client, is_refused = bus._link.session.client, asyncio.Event()

    async def let_another_in(subject, *args, request=client.request, **more):
        expected = (more.get("headers") or {}).get("Nats-Expected-Last-Sequence", "0")
        if int(expected) > 1:
            await is_refused.wait()
        elif expected == "1":
            assert await theirs.append(Word(text="theirs"), expected_last=1) == 2
        answer = await request(subject, *args, **more)
        if expected == "1":
            is_refused.set()
        return answer

    monkeypatch.setattr(client, "request", let_another_in)
    with pytest.raises(Conflict):
        await log.append_all([Word(text=str(number)) for number in range(5)], expected_last=0)
    assert await theirs.bounds() == (1, 2)
    monkeypatch.undo()
    words = [Word(text=str(number)) for number in range(5)]
    assert await log.append_all(words, expected_last=2) == 7


async def test_a_bus_that_is_away_at_the_start_is_found_later(world):
    await world.take_away()
    bus, seen = world.make_bus(), Collector()
    words = await bus.bucket(WORDS)
    await words.watch(seen)
    with pytest.raises(BusUnavailable):
        await words.get("a")
    await world.bring_back()
    await words.put("a", Word(text="one"))
    await until(lambda: seen.pairs == [("a", "one")], "the entry on the late watch")


async def test_an_outage_is_logged_once_however_long_it_is(world):
    bus = await world.connect()
    await bus.subscribe(FACT, Collector())
    await (await bus.bucket(WORDS)).watch(Collector())
    with capture_logs() as logs:
        await world.take_away()
        await until(lambda: not bus.is_connected, "that the outage is noticed")
        await asyncio.sleep(1.5)
        await world.bring_back()
        await asyncio.sleep(0.5)
    events = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert events.count("bus_lost") == 1
    assert "bus_unreachable" not in events
    assert events.count("bus_connected") == 1
    assert "bus_subscription_restarted" not in events


async def test_an_absent_server_is_logged_once_however_often_it_is_tried(world):
    await world.take_away()
    with capture_logs() as logs:
        bus = world.make_bus()
        await asyncio.sleep(1.5)
        assert not bus.is_connected
    told = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [entry["event"] for entry in told] == ["bus_unreachable"]
    assert "refused" in told[0]["error"] or "Connect call failed" in told[0]["error"]
    await world.start()


async def test_a_wrong_token_is_an_absent_bus_and_is_not_logged(world):
    with capture_logs() as logs:
        bus = world.make_bus(token="wrong-token")
        assert not await bus.wait_connected(1.0)
    assert "Authorization" in next(e["error"] for e in logs if e["event"] == "bus_unreachable")
    assert "wrong-token" not in str(logs)


async def test_an_operation_under_way_ends_with_the_connection_not_with_its_timeout(
    world, monkeypatch
):
    monkeypatch.setattr(link, "OPERATION_SECONDS", 120.0)
    bus = await world.connect()
    words = await bus.bucket(WORDS)
    await words.put("a", Word(text="one"))
    freeze(world.server.pid)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        operation = group.create_task(failing(words.get("a")))
        await asyncio.sleep(0.1)
        await world.take_away()
    assert isinstance(operation.result(), BusUnavailable)


async def failing(operation):
    with pytest.raises(BusUnavailable) as caught:
        await operation
    return caught.value


async def test_who_stops_reading_waits_for_no_server_that_stops_as_well(world, monkeypatch):
    monkeypatch.setattr(link, "OPERATION_SECONDS", 120.0)
    bus = await world.connect()
    log = await bus.stream(LINES, "k")
    await log.append(Word(text="one"))
    entries = log.read(0)
    assert (await anext(entries)).revision == 1
    freeze(world.server.pid)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        closing = group.create_task(entries.aclose())
        await asyncio.sleep(0.1)  # it may have begun: it has not ended
        assert not closing.done()
        await world.take_away()


async def test_a_value_too_large_for_the_bus_is_refused_at_once(world):
    words = await (await world.connect()).bucket(WORDS)
    with pytest.raises(QuantumError, match="larger"):
        await words.put("a", Word(text="x" * (9 << 20)))
    await words.put("a", Word(text="x" * (4 << 20)))


async def test_many_changes_reach_a_watcher_that_cannot_keep_up(world):
    bus = await world.connect()
    words, latest = await bus.bucket(WORDS), {}

    async def slow(entry):
        await asyncio.sleep(0.0005)
        latest[entry.key] = entry.value.text

    await words.watch(slow)
    for turn in range(20):
        await asyncio.gather(*(words.put(f"k{n}", Word(text=str(turn))) for n in range(50)))
    await until(lambda: latest == {f"k{n}": "19" for n in range(50)}, "the last value of every key")


async def test_metrics_tell_the_connection_and_what_was_dropped(world):
    registry = CollectorRegistry()
    bus = world.make_bus(metrics=registry)
    assert await bus.wait_connected(10)
    assert registry.get_sample_value("quantum_bus_connected") == 1
    await world.take_away()
    await until(lambda: not bus.is_connected, "that the outage is noticed")
    await bus.publish(FACT, Word(text="lost"))
    assert registry.get_sample_value("quantum_bus_connected") == 0
    assert registry.get_sample_value("quantum_bus_facts_dropped_total") == 1


async def test_publishing_never_waits_for_a_server_that_does_not_read(world):
    registry = CollectorRegistry()
    bus = world.make_bus(metrics=registry)
    assert await bus.wait_connected(10)
    freeze(world.server.pid)
    loop = asyncio.get_running_loop()
    try:
        slowest = 0.0
        for _ in range(2000):
            started = loop.time()
            await bus.publish(FACT, Word(text="x" * 10_000))
            slowest = max(slowest, loop.time() - started)
        assert slowest < 5  # a server that is stopped would hold it up for ever
        assert registry.get_sample_value("quantum_bus_facts_dropped_total") > 100
    finally:
        os.kill(world.server.pid, signal.SIGCONT)


async def test_a_closed_bus_refuses_at_once_instead_of_waiting(world):
    bus = await world.connect()
    words = await bus.bucket(WORDS)
    await bus.aclose()
    async with asyncio.timeout(5):
        with pytest.raises(BusUnavailable):
            await words.put("a", Word(text="late"))
