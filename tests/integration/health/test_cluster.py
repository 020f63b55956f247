"""Health and proxy processes on a real nats-server: one prober, failover, and how fast everybody knows."""

import asyncio
import time

from quantum.clock import SystemClock
from quantum.config.model import locate
from quantum.modules.config import parse_inline, use_registry
from quantum.modules.registry import Registry
from quantum.testing.bus import until
from quantum.testing.context import make_context, make_revision
from services.health.service import HealthService
from services.proxy.manifest import MANIFEST
from services.proxy.service import ProxyService
from tests.integration.quantum.bus.test_nats import NatsWorld

INTERVAL = 0.2
SOON = 3.0
"""Seconds. A second is what is promised; the rest is for a machine that is busy with other tests."""


class Cluster:
    """Two health rooms and two proxies, each with its own connection to the bus, and one upstream."""

    def __init__(self, folder):
        self.folder = folder
        self.world = NatsWorld(folder / "nats")
        self.registry = Registry(MANIFEST.modules)
        self.asked = 0
        self.is_ill = False
        self.writers = []
        self.rooms = {}
        self.buses = {}

    async def __aenter__(self):
        await self.world.start()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.dial = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        for name in ("proxy-1", "proxy-2", "health-1", "health-2"):
            await self._add(name)
        return self

    async def __aexit__(self, *_):
        for room in self.rooms.values():
            await room.stop(0)
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
        await self.world.aclose()

    async def _add(self, name):
        bus = self.buses[name] = await self.world.connect()
        room = name.partition("-")[0]
        context = make_context(
            room, self.folder / name, registry=self.registry, bus=bus, clock=SystemClock()
        )
        made = ProxyService(context) if room == "proxy" else HealthService(context, name)
        self.rooms[name] = made
        await made.start()
        context.switch.use(made)
        document = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": self.dial}],
            "health_checks": {"active": {"uri": "/h", "interval": "200ms", "timeout": "1s"}},
        }
        with use_registry(self.registry) as found:
            parse_inline("http.handlers", locate(document, "proxy"))
        await context.switch.apply(make_revision("r1", modules=tuple(found)))

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            status = b"500" if self.is_ill else b"200"
            writer.write(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def holders(self):
        return [name for name in ("health-1", "health-2") if self.rooms[name]._leases.held]

    async def until_one_holds(self):
        await until(lambda: len(self.holders()) == 1 and self.asked, "that one of them checks")
        return self.holders()

    async def until_everybody_knows(self, is_healthy):
        began = time.monotonic()
        proxies = [self.rooms["proxy-1"], self.rooms["proxy-2"]]
        while [p.report()[0]["healthy"] for p in proxies] != [is_healthy] * 2:
            assert time.monotonic() - began < 30
            await asyncio.sleep(0.01)
        return time.monotonic() - began


async def test_one_checks_everybody_knows_within_a_second_and_another_takes_over(tmp_path):
    async with Cluster(tmp_path) as cluster:
        [holder] = await cluster.until_one_holds()
        before, began = cluster.asked, time.monotonic()
        await asyncio.sleep(1.5)
        most = (time.monotonic() - began) / INTERVAL
        assert 2 <= cluster.asked - before <= 1.3 * most + 1, "two would ask twice as often"
        cluster.is_ill = True
        assert await cluster.until_everybody_knows(False) < SOON
        cluster.is_ill = False
        assert await cluster.until_everybody_knows(True) < SOON
        await cluster.buses[holder].aclose()  # dead, as far as the others can tell
        died = time.monotonic()
        other = "health-2" if holder == "health-1" else "health-1"
        while not cluster.rooms[other]._leases.held:
            assert time.monotonic() - died < 20
            await asyncio.sleep(0.05)
        cluster.is_ill = True
        assert await cluster.until_everybody_knows(False) < SOON


async def test_a_killed_bus_hands_nothing_over_and_one_prober_is_left_when_it_is_back(tmp_path):
    async with Cluster(tmp_path) as cluster:
        await cluster.until_one_holds()
        await cluster.world.take_away()
        await asyncio.sleep(0.5)
        before = cluster.asked
        await asyncio.sleep(1.0)
        assert 2 <= cluster.asked - before <= 7
        cluster.is_ill = True
        await cluster.world.bring_back()
        await cluster.until_everybody_knows(False)
        await asyncio.sleep(2.5)
        before = cluster.asked
        await asyncio.sleep(1.5)
        assert len(cluster.holders()) == 1
        assert 5 <= cluster.asked - before <= 10
