"""The HTTP/2 or HTTP/3 connections to one upstream address: few, shared by many requests.

A peer that is asked by ALPN may speak HTTP/1.1 only. That is remembered for a while, and the
connection which found it out is not wasted: the HTTP/1.1 pool adopts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from quantum.connection.h2_client import OnInformational, RequestFailed
from quantum.connection.h2_tunnel import H2Tunnel, TunnelStream
from quantum.errors import in_words
from quantum.http.body import AnyBody
from quantum.tasks import TaskSet
from quantum.wire.h2 import Fields
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import Stage, UpstreamFailed
from services.proxy.transports.pool import ConnectionPool


class Answer(Protocol):
    """A response: as ``H2Answer``."""

    @property
    def fields(self) -> Fields:
        """The head's."""

    @property
    def body(self) -> AnyBody:
        """Bytes if it was all there with the head."""

    @property
    def stream(self) -> TunnelStream:
        """What may be reset."""


class SharedClient(Protocol):
    """A connection for many requests, over HTTP/2 or HTTP/3; see ``H2Client`` for the contract."""

    version: str

    @property
    def is_usable(self) -> bool:
        """Whether new requests can be sent."""

    @property
    def has_room(self) -> bool:
        """Whether a request would not have to wait for a stream."""

    @property
    def open_streams(self) -> int:
        """Requests under way."""

    async def ready(self) -> None:
        """Wait until requests may be sent."""

    def leave(self) -> None:
        """Take no more requests; close when those under way are done."""

    async def request(
        self,
        fields: Fields,
        body: AnyBody = b"",
        *,
        on_informational: OnInformational | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """Send a request and return its response once the head is there."""

    async def connect(
        self, fields: Fields, *, deadline: float | None = None
    ) -> tuple[Answer, H2Tunnel | None]:
        """Open a tunnel by extended CONNECT; None when the peer answered otherwise than 2xx."""


Open = Callable[
    [Callable[[SharedClient], None], Callable[[Connection], None]],
    Awaitable[SharedClient | Connection],
]
"""Opens a connection that is shared, or one that is not; each kind hears its end from the callback
given for it. Raises OSError."""

RELEARN_SECONDS = 60.0
"""How long a peer that chose HTTP/1.1 is not asked again."""


class Channels:
    """Connections that are open or being opened; a request takes the first that has a stream free."""

    def __init__(
        self,
        open_one: Open,
        plain: ConnectionPool,
        *,
        scheme: str,
        dial_timeout: float,
        max_open: int,
        idle_timeout: float,
    ) -> None:
        """``max_open`` bounds connections, 0 not at all: then requests wait for a stream instead."""
        self.scheme = scheme.encode()
        self._open_one = open_one
        self._plain = plain
        self._dial_timeout = dial_timeout
        self._max_open = max_open
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._clients: dict[SharedClient, float] = {}
        self._dialling: asyncio.Task[UpstreamFailed | None] | None = None
        self._tasks = TaskSet("proxy:dial_h2")
        self._sweep: asyncio.TimerHandle | None = None
        self._plain_until = 0.0
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._clients)

    async def acquire(self) -> SharedClient | None:
        """Return a connection to send on, None when the peer speaks only HTTP/1.1.

        UpstreamFailed: there is none to be had.
        """
        while True:
            if self._loop.time() < self._plain_until:
                return None
            client = self._ready()
            if client is not None:
                self._clients[client] = self._loop.time()
                return client
            if self._dialling is None:
                self._dialling = self._tasks.start(self._dial())
            dialling = self._dialling
            await asyncio.wait([dialling])
            failure = None if dialling.cancelled() else dialling.result()
            if failure is not None:
                raise failure

    async def aclose(self) -> None:
        """Take no more requests; those under way end by themselves."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for client in tuple(self._clients):
            client.leave()
        await self._tasks.aclose()

    def _ready(self) -> SharedClient | None:
        for client in self._clients:
            if client.is_usable and client.has_room:
                return client
        if self._max_open and len(self._clients) >= self._max_open:
            usable = [client for client in self._clients if client.is_usable]
            return min(usable, key=lambda client: client.open_streams, default=None)
        return None

    async def _dial(self) -> UpstreamFailed | None:
        """Open one; every request that waits for it looks again afterwards."""
        try:
            async with asyncio.timeout(self._dial_timeout):
                made = await self._open_one(self._gone, self._plain.gone)
                if not isinstance(made, Connection):
                    await made.ready()
                    self._add(made)
        except TimeoutError:
            return UpstreamFailed(Stage.DIAL, "timeout dialing", 504)
        except (OSError, RequestFailed) as error:
            what = in_words(error)
            return UpstreamFailed(Stage.DIAL, f"dialing: {what}")
        finally:
            self._dialling = None
        if isinstance(made, Connection):
            self._plain_until = self._loop.time() + RELEARN_SECONDS
            self._plain.adopt(made)
        return None

    def _add(self, client: SharedClient) -> None:
        if self._is_closed:
            client.leave()
            return
        self._clients[client] = self._loop.time()
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._idle_timeout / 2, self._close_idle)

    def _gone(self, client: SharedClient) -> None:
        self._clients.pop(client, None)

    def _close_idle(self) -> None:
        """Close what nobody used for long enough."""
        self._sweep = None
        oldest = self._loop.time() - self._idle_timeout
        for client, used in tuple(self._clients.items()):
            if client.open_streams:
                self._clients[client] = self._loop.time()
            elif used <= oldest or not client.is_usable:
                del self._clients[client]
                client.leave()
        if self._clients:
            self._sweep = self._loop.call_later(self._idle_timeout / 2, self._close_idle)
