"""One far process: where it is, the connections to it, and how much it is trusted to be alive."""

from __future__ import annotations

import asyncio

import structlog

from quantum.connection.h2_client import H2Client, RequestFailed
from quantum.errors import QuantumError
from quantum.hop.address import split_host, unix_path
from quantum.hop.server import TRUSTED
from quantum.tasks import TaskSet
from quantum.wire.mux.codec import MuxCodec
from quantum.wire.mux.frames import OtherVersionError

MAX_CONNECTIONS = 64
"""Per process. Another is opened only when none has a free stream; with 512 streams each they carry more
WebSockets than a process has descriptors, and requests never wait behind those."""
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 3.0
"""A process that says nothing for so long is asked for a sign of life, and given up after as long again:
a machine that is cut off is found out within nine seconds. Shorter, and a busy one would look so."""
FIRST_PAUSE = 0.1
LAST_PAUSE = 5.0
"""Between attempts to reach a process that was lost: at first, and at most (it doubles)."""


REMEDY = "let all processes of this deployment run one release (docs/operating.md, New versions)"
_log = structlog.get_logger("quantum.hop")


class UnreachableError(QuantumError):
    """The process cannot be connected to; nothing was sent."""


class Peer:
    """A process that serves the hop at ``address``."""

    def __init__(self, address: str, tasks: TaskSet) -> None:
        self.address = address
        self.known: set[bytes] = set()
        """Handlers (their leads) that this process has answered for: no probe is needed."""
        self._tasks = tasks
        self._connections: list[H2Client] = []
        self._opening: asyncio.Task[H2Client | OSError] | None = None
        self.is_lost = False
        """It could not be reached: others are preferred until it was, which is tried without requests."""
        self.mismatch = ""
        """Why nothing can be said to it, when it was reached and speaks another version of the hop."""
        self._pause = FIRST_PAUSE
        self._is_closed = False
        self._returning: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests under way to it from this process."""
        connections = self._connections
        if len(connections) == 1:
            return connections[0].open_streams
        return sum(c.open_streams for c in connections)

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
        client = H2Client(TRUSTED, loop, self._lost, SILENCE_SECONDS, MuxCodec)
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
            self._leave_alone()
            return error
        except (RequestFailed, ValueError) as failure:
            self._leave_alone()
            if isinstance(failure.__cause__, OtherVersionError):
                self._speaks_otherwise(failure.__cause__)
            return ConnectionResetError(str(failure))
        self.is_lost = False
        self.mismatch = ""
        self._pause = FIRST_PAUSE
        self._connections.append(client)
        if self._is_closed:
            client.leave()
        return client

    def _speaks_otherwise(self, why: OtherVersionError) -> None:
        """Tell the operator, once: this does not pass by itself."""
        mismatch = f"the process at {self.address} cannot be spoken to: {why}"
        if mismatch != self.mismatch:
            self.mismatch = mismatch
            _log.error("hop_version_mismatch", address=self.address, reason=str(why), remedy=REMEDY)

    def _lost(self, client: H2Client) -> None:
        if client in self._connections:
            self._connections.remove(client)
            if not (client.is_leaving or self._connections):
                self._leave_alone()

    def _leave_alone(self) -> None:
        """Try again in a moment, later each time; no request waits for that unless all are lost."""
        self.is_lost = True
        self.known.clear()
        if self._returning is not None:
            self._returning.cancel()
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            self._returning = loop.call_later(self._pause, self._return)
            self._pause = min(LAST_PAUSE, 2 * self._pause)

    def _return(self) -> None:
        if self.is_lost and self._opening is None:
            self._opening = self._tasks.start(self._open(), "return")
            self._opening.add_done_callback(self._opened)

    def close(self) -> None:
        """Send no more requests; connections close when those under way are done."""
        self._is_closed = True
        if self._returning is not None:
            self._returning.cancel()
        for connection in list(self._connections):
            connection.leave()
