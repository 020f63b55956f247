"""The memory bus passes the conformance suite of the bus."""

from __future__ import annotations

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.testing.bus import BUS_CHECKS
from quantum.testing.clock import ManualClock


class MemoryWorld:
    def __init__(self):
        self.clock = ManualClock()
        self.server = MemoryServer(self.clock)
        self.buses = []

    async def connect(self):
        self.buses.append(MemoryBus(self.server))
        return self.buses[-1]

    async def take_away(self):
        for bus in self.buses:
            bus.cut()

    async def bring_back(self):
        for bus in self.buses:
            await bus.restore()

    async def pass_time(self, seconds):
        await self.clock.advance(seconds)

    async def aclose(self):
        for bus in self.buses:
            await bus.aclose()
        await self.server.aclose()


@pytest.mark.parametrize("check", BUS_CHECKS, ids=lambda check: check.__name__)
async def test_the_memory_bus_keeps_the_promises_of_a_bus(check):
    world = MemoryWorld()
    try:
        await check(world)
    finally:
        await world.aclose()
