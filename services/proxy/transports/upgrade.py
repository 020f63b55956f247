"""Upgraded connections: WebSocket towards the upstream (RFC 6455), and the tunnel behind a 101.

The client's key never travels: the codec that speaks to the client has answered it. Towards the
upstream this file makes its own key and verifies the answer, so that nothing but a real WebSocket
server gets raw bytes of a client.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable
from functools import partial
from typing import Protocol

from quantum.errors import BodyAborted, ClientGone
from quantum.http.body import StreamBody
from quantum.http.headers import Field
from quantum.http.message import ByteStream, Response
from quantum.tasks import TaskSet
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import Stage, UpstreamFailed

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 §1.3."""
_CODEC_FIELDS = (b"connection", b"upgrade", b"sec-websocket-accept")
"""What the client's codec writes itself, in its version's words."""

HALF_CLOSED_SECONDS = 30.0
"""How long the other direction of a tunnel may go on when one has ended."""
START_SECONDS = 10.0
"""A tunnel that nobody starts to read in this time belongs to a client that has left."""


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that proves the peer read ``key``."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


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


class Wish:
    """A request's wish to speak ``protocol``: what to send for it, and whether it was granted."""

    __slots__ = ("_key", "protocol", "tunnels")

    def __init__(self, protocol: str, tunnels: Tunnels) -> None:
        self.protocol = protocol
        self._key = base64.b64encode(secrets.token_bytes(16))
        self.tunnels = tunnels

    @property
    def fields(self) -> list[Field]:
        """The fields that ask an HTTP/1.1 peer to switch."""
        fields = [(b"connection", b"Upgrade"), (b"upgrade", self.protocol.encode("latin-1"))]
        if self.protocol == "websocket":
            fields.append((b"sec-websocket-key", self._key))
        return fields

    def grant(self, response: Response, connection: Connection) -> None:
        """Make a verified 101 carry the tunnel; UpstreamFailed when it is not what was asked for."""
        headers = response.headers
        switched = headers.get(b"upgrade") or b""
        if switched.lower() != self.protocol.lower().encode("latin-1"):
            raise UpstreamFailed(Stage.SENT, f"upstream switched to {switched[:40]!r}")
        accept = headers.get(b"sec-websocket-accept")
        if self.protocol == "websocket" and accept != accept_of(self._key):
            raise UpstreamFailed(Stage.SENT, "upstream's Sec-WebSocket-Accept is wrong")
        for name in _CODEC_FIELDS:
            headers.remove(name)
        response.upgrade = self.tunnels.open(connection).run


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

    def wish(self, protocol: str) -> Wish:
        """Return the wish of one request."""
        return Wish(protocol, self)

    def open(self, connection: TunnelEnd) -> Tunnel:
        """Return the tunnel over a connection that has switched."""
        tunnel = Tunnel(connection, self._tasks, self._timeout, self._open.discard)
        self._open.add(tunnel)
        return tunnel

    def retire(self) -> None:
        """Cut what is open, after the configured delay: the handler's configuration is gone."""
        cut = partial(_cut, self._open)
        asyncio.get_running_loop().call_later(self._close_delay, cut)


def _cut(tunnels: set[Tunnel]) -> None:
    for tunnel in tuple(tunnels):
        tunnel.cut()


class Tunnel:
    """Carries bytes both ways between a client's stream and an upstream connection.

    Each direction waits for its own reader. An end passes on as a half close; a break ends both.
    """

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
        self._loop = asyncio.get_running_loop()
        self._timers = [self._loop.call_later(START_SECONDS, self._never_started)]
        if timeout:
            self._timers.append(self._loop.call_later(timeout, self.cut))

    def cut(self) -> None:
        """End both directions at once."""
        self._connection.abort()

    def _never_started(self) -> None:
        self.cut()
        self._on_end(self)

    async def run(self, client: ByteStream) -> None:
        """Carry until both directions have ended."""
        self._timers[0].cancel()
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
