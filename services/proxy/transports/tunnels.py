"""Tunnels: the bytes of an upgraded connection, both ways, and how it ends.

An end of one direction passes on as a half close; a break of one side cuts the other. When the handler
that opened a tunnel is not in use any more, the tunnel ends after ``stream_close_delay``: WebSocket peers
are told (1001), others are cut (Caddy).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from quantum.errors import BodyAborted, ClientGone
from quantum.http.body import StreamBody
from quantum.http.message import ByteStream
from quantum.tasks import TaskSet
from services.proxy.transports.failure import UpstreamFailed

HALF_CLOSED_SECONDS = 30.0
"""How long the other direction of a tunnel may go on when one has ended."""
START_SECONDS = 10.0
"""A tunnel that nobody starts to read in this time belongs to a client that has left."""
GOODBYE_SECONDS = 2.0
"""What the peers of a WebSocket have for closing by themselves after they were told to."""
GOING_AWAY = b"\x88\x02\x03\xe9"
"""A close frame with code 1001 (RFC 6455 §5.5.1, §7.4.1), as servers send it."""
GOING_AWAY_MASKED = b"\x88\x82\x00\x00\x00\x00\x03\xe9"
"""The same as clients do: masked, with a mask of zeros."""


class TunnelEnd(Protocol):
    """The upstream's end of a tunnel, over a connection of its own or a stream of a shared one."""

    @property
    def stream(self) -> StreamBody | None:
        """What the upstream sends."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the upstream is slow."""

    def end_writing(self) -> bool:
        """Half-close; False where that cannot be."""

    def abort(self) -> None:
        """Cut it."""

    def close(self) -> None:
        """End it after both directions have."""


class Tunnels:
    """The open tunnels of one handler."""

    def __init__(self, timeout: float, close_delay: float) -> None:
        """``timeout``: seconds a tunnel may last (0: for ever); ``close_delay``: after ``retire``."""
        self._timeout = timeout
        self._close_delay = close_delay
        self._open: set[Tunnel] = set()
        self._tasks = TaskSet("proxy:tunnel")

    def __len__(self) -> int:
        return len(self._open)

    def open(self, connection: TunnelEnd, protocol: str) -> Tunnel:
        """Return the tunnel over a connection that has switched to ``protocol``."""
        kind = WebSocketTunnel if protocol.lower() == "websocket" else Tunnel
        tunnel = kind(connection, self._tasks, self._timeout, self._open.discard)
        self._open.add(tunnel)
        return tunnel

    def retire(self) -> None:
        """End what is open now, after the configured delay: its configuration is not in use any more."""
        ending = partial(_leave, tuple(self._open))
        asyncio.get_running_loop().call_later(self._close_delay, ending)


def _leave(tunnels: tuple[Tunnel, ...]) -> None:
    for tunnel in tunnels:
        tunnel.leave()


class Tunnel:
    """Carries bytes both ways between a client's stream and an upstream connection.

    Each direction waits for its own reader. An end passes on as a half close; a break ends both.
    """

    __slots__ = ("_client", "_connection", "_loop", "_on_end", "_tasks", "_timers")

    def __init__(
        self,
        connection: TunnelEnd,
        tasks: TaskSet,
        timeout: float,
        on_end: Callable[[Tunnel], None],
    ) -> None:
        """``timeout``: seconds the whole tunnel may last, 0 for ever."""
        self._connection = connection
        self._tasks = tasks
        self._on_end = on_end
        self._client: ByteStream | None = None
        self._loop = asyncio.get_running_loop()
        self._timers = [self._loop.call_later(START_SECONDS, self._never_started)]
        if timeout:
            self._timers.append(self._loop.call_later(timeout, self.cut))

    def cut(self) -> None:
        """End both directions at once."""
        self._connection.abort()

    def leave(self) -> None:
        """End because the proxy goes away."""
        self.cut()

    def _never_started(self) -> None:
        self.cut()
        self._on_end(self)

    async def run(self, client: ByteStream) -> None:
        """Carry until both directions have ended."""
        self._timers.pop(0).cancel()
        self._client = client
        upward = self._tasks.start(self._carry_up(client))
        try:
            if await self._carry_down(client):
                await asyncio.wait([upward], timeout=HALF_CLOSED_SECONDS)
        finally:
            for timer in self._timers:
                timer.cancel()
            if upward.done():
                self._connection.close()
            else:
                upward.cancel()
                self._connection.abort()
                client.abort()
            self._on_end(self)

    async def _carry_up(self, client: ByteStream) -> None:
        connection = self._connection
        try:
            while data := await client.read():
                await connection.write(data)
            if connection.end_writing():
                late = self._loop.call_later(HALF_CLOSED_SECONDS, connection.abort)
                self._timers.append(late)
                return
        except (BodyAborted, ClientGone):
            pass  # the abort below tells the upstream
        connection.abort()

    async def _carry_down(self, client: ByteStream) -> bool:
        """Return whether the upstream ended properly, so that the client may go on sending."""
        stream = self._connection.stream
        assert stream is not None
        try:
            async for data in stream:
                await client.write(data)
            await client.write_end()
        except BodyAborted:
            client.abort()
            return False
        return True


class WebSocketTunnel(Tunnel):
    """A tunnel whose two ends can be told why it ends: with a close frame, 1001 "going away".

    The frame goes between two reads of a direction. Where a peer's frame is split over reads it may fall
    into that one; the peer then sees a broken frame instead of a close, and the end comes all the same.
    """

    __slots__ = ()

    def leave(self) -> None:
        """Say goodbye to both, then give them a moment to close themselves."""
        if self._client is None:
            self.cut()
            return
        self._tasks.start(self._say_goodbye(self._client))
        self._timers.append(self._loop.call_later(GOODBYE_SECONDS, self.cut))

    async def _say_goodbye(self, client: ByteStream) -> None:
        try:
            await client.write(GOING_AWAY)
            await self._connection.write(GOING_AWAY_MASKED)
        except (BodyAborted, ClientGone, UpstreamFailed):
            self.cut()
