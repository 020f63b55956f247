"""Two processes' hops over one bus, with real sockets between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.clock import Clock, SystemClock
from quantum.hop.start import OpenHop, open_hop
from quantum.http.handler import Handler

ROOM, REVISION, PATH = "static", "r1", "apps.http.servers.srv0.routes[0].handle[0]"


class Deployment:
    """Opens hops that share a bus, a clock and a data directory, and closes them all."""

    def __init__(self, data_dir: Path, listen: str = "", clock: Clock | None = None) -> None:
        self.data_dir = data_dir
        self.clock = clock or SystemClock()
        self.listen = listen
        self.server = MemoryServer()
        self.buses: list[MemoryBus] = []
        self._open: list[OpenHop] = []

    async def start(self, process: str, *rooms: str) -> OpenHop:
        """Open the hop of one more process."""
        bus = MemoryBus(self.server)
        self.buses.append(bus)
        hop = await open_hop(
            bus, frozenset(rooms), self.data_dir, clock=self.clock, metrics=CollectorRegistry(),
            log=structlog.get_logger(), listen=self.listen, process=process,
        )  # fmt: skip
        self._open.append(hop)
        return hop

    async def stop(self, hop: OpenHop, grace: float = 0.2) -> None:
        """Close one."""
        self._open.remove(hop)
        await hop.aclose(grace)

    async def aclose(self) -> None:
        """Close everything."""
        for hop in reversed(self._open):
            await hop.aclose(0.2)
        for bus in self.buses:
            await bus.aclose()
        await self.server.aclose()


@asynccontextmanager
async def deployment(data_dir: Path, listen: str = "") -> AsyncIterator[Deployment]:
    """A deployment for one test."""
    made = Deployment(data_dir, listen)
    try:
        yield made
    finally:
        await made.aclose()


async def settle(near: OpenHop, count: int = 1) -> None:
    """Wait until ``near`` knows ``count`` rooms of others."""
    import asyncio

    async with asyncio.timeout(5):
        while len(near.directory.presences) < count:
            await near.directory.changed(0.05)


async def pair(made: Deployment) -> tuple[OpenHop, OpenHop]:
    """An edge, and a far process with the room of the tests, that know each other."""
    far = await made.start("far", ROOM)
    near = await made.start("near", "edge")
    await far.announce(REVISION)
    await settle(near)
    return near, far


def install(far: OpenHop, handler: Handler, revision: str = REVISION) -> None:
    """Put a handler into a far process."""
    far.hop.table.install(ROOM, revision, {PATH: handler})


def reach(near: OpenHop, revision: str = REVISION) -> Handler:
    """The way to it."""
    return near.hop.handler(ROOM, revision, PATH)
