"""One far process: where it is, the connections to it, and how much it is trusted to be alive."""

from __future__ import annotations

import asyncio

from quantum.connection.h2_client import H2Client, RequestFailed
from quantum.errors import QuantumError
from quantum.hop.address import split_host, unix_path
from quantum.hop.server import TRUSTED
from quantum.tasks import TaskSet

MAX_CONNECTIONS = 64
"""Per process. Another is opened only when none has a free stream; with 512 streams each they carry more
WebSockets than a process has descriptors, and requests never wait behind those."""
CONNECT_SECONDS = 2.0
FIRST_QUARANTINE = 0.1
LAST_QUARANTINE = 5.0
"""How long a process that could not be reached is left alone: at first, and at most (it doubles)."""


class UnreachableError(QuantumError):
    """The process cannot be connected to; nothing was sent."""


class Peer:
    """A process that serves the hop at ``address``."""

    def __init__(self, address: str, tasks: TaskSet) -> None:
        self.address = address
        self.known: set[bytes] = set()
        """Handlers (their fields) that this process has answered for: no probe is needed."""
        self._tasks = tasks
        self._connections: list[H2Client] = []
        self._opening: asyncio.Task[H2Client | OSError] | None = None
        self.quarantined_until = 0.0
        """It failed a moment ago: until then, in the loop's time, others are preferred."""
        self._quarantine = 0.0

    @property
    def in_flight(self) -> int:
        """Requests under way to it from this process."""
        connections = self._connections
        if len(connections) == 1:
            return connections[0].open_streams
        return sum(c.open_streams for c in connections)

    def quarantine(self, now: float) -> None:
        """Leave it alone for a while, longer each time until it answers again."""
        self._quarantine = min(LAST_QUARANTINE, max(FIRST_QUARANTINE, 2 * self._quarantine))
        self.quarantined_until = now + self._quarantine
        self.known.clear()

    def ready(self) -> H2Client | None:
        """Return a connection with a free stream, without waiting."""
        connections = self._connections
        if len(connections) == 1:
            only = connections[0]
            return only if only.is_ready else None
        free = [c for c in connections if c.is_ready]
        return min(free, key=lambda c: c.open_streams) if free else None

    async def connect(self) -> H2Client:
        """Return a connection, a new one if none has room; UnreachableError when that fails.

        Callers at the same time share the attempt, so that a burst does not open a burst.
        """
        while True:
            usable = [c for c in self._connections if c.is_usable]
            if len(usable) >= MAX_CONNECTIONS:
                return min(usable, key=lambda c: c.open_streams)
            if self._opening is None:
                self._opening = self._tasks.start(self._open(), "connect")
                self._opening.add_done_callback(self._opened)
            outcome = await asyncio.shield(self._opening)
            if isinstance(outcome, OSError):
                raise UnreachableError(f"{self.address}: {outcome}") from outcome
            if outcome.is_ready or not outcome.is_usable:
                return outcome  # one that is lost already fails the request where it is told best

    def _opened(self, _: asyncio.Task[H2Client | OSError]) -> None:
        self._opening = None

    async def _open(self) -> H2Client | OSError:
        loop = asyncio.get_running_loop()
        client = H2Client(TRUSTED, loop, on_lost=self._lost)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                path = unix_path(self.address)
                if path is not None:
                    await loop.create_unix_connection(lambda: client, path)
                else:
                    host, port = split_host(self.address)
                    await loop.create_connection(lambda: client, host, port)
                await client.ready()
        except OSError as error:  # TimeoutError is one
            client.close()
            return error
        except (RequestFailed, ValueError) as failure:
            return ConnectionResetError(str(failure))
        self._quarantine = 0.0
        self.quarantined_until = 0.0
        self._connections.append(client)
        return client

    def _lost(self, client: H2Client) -> None:
        if client in self._connections:
            self._connections.remove(client)
            if not client.is_leaving:
                self.quarantine(client.loop.time())

    def close(self) -> None:
        """Send no more requests; connections close when those under way are done."""
        for connection in list(self._connections):
            connection.leave()
