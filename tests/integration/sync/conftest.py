import pytest
from prometheus_client import CollectorRegistry

from quantum.bus.nats import NatsBus
from quantum.clock import SystemClock
from quantum.service.embedded import EmbeddedServer


class NatsServer:
    """A real server and connections to it."""

    def __init__(self, data_dir):
        self.server = EmbeddedServer(data_dir, SystemClock())
        self._buses = []

    async def connect(self):
        bus = NatsBus(
            self.server.url,
            token=self.server.token,
            clock=SystemClock(),
            metrics=CollectorRegistry(),
        )
        bus.start()
        self._buses.append(bus)
        assert await bus.wait_connected(10)
        return bus

    async def aclose(self):
        for bus in self._buses:
            await bus.aclose()
        await self.server.stop()


@pytest.fixture
async def nats(tmp_path):
    nats = NatsServer(tmp_path / "nats")
    await nats.server.start()
    yield nats
    await nats.aclose()
