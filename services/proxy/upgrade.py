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

from quantum.errors import BodyAborted, ClientGone
from quantum.http.headers import Field, Headers
from quantum.http.message import ByteStream
from quantum.tasks import TaskSet
from services.proxy.transports.connection import Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 §1.3."""
_CODEC_FIELDS = (b"connection", b"upgrade", b"sec-websocket-accept")
"""What the client's codec writes itself, in its version's words."""

HALF_CLOSED_SECONDS = 30.0
"""How long the other direction of a tunnel may go on when one has ended."""
START_SECONDS = 10.0
"""A tunnel that nobody starts to read in this time belongs to a client that has left."""


def new_key() -> bytes:
    """Return a fresh Sec-WebSocket-Key."""
    return base64.b64encode(secrets.token_bytes(16))


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that proves the peer read ``key``."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def request_fields(protocol: str, key: bytes) -> list[Field]:
    """Return the fields that ask an HTTP/1.1 peer to switch to ``protocol``."""
    fields = [(b"connection", b"Upgrade"), (b"upgrade", protocol.encode("latin-1"))]
    if protocol == "websocket":
        fields.append((b"sec-websocket-key", key))
    return fields


def problem_with(headers: Headers, protocol: str, key: bytes) -> str:
    """Return what is wrong with a 101 answer's fields, "" when they are right."""
    named = headers.get(b"upgrade", b"").lower()  # type: ignore[union-attr]  # has a default
    if named != protocol.lower().encode("latin-1"):
        return f"upstream switched to {named[:40]!r} instead of {protocol}"
    if protocol == "websocket" and headers.get(b"sec-websocket-accept") != accept_of(key):
        return "upstream's Sec-WebSocket-Accept is wrong"
    return ""


def strip_codec_fields(headers: Headers) -> None:
    """Remove the fields of a 101 that concern only our connection to the upstream."""
    for name in _CODEC_FIELDS:
        headers.remove(name)


class Tunnel:
    """Carries bytes both ways between a client's stream and an upstream connection.

    Each direction waits for its own reader. An end passes on as a half close; a break ends both.
    """

    def __init__(self, connection: Connection, tasks: TaskSet, timeout: float) -> None:
        """``timeout``: seconds the whole tunnel may last, 0 for ever."""
        self._connection = connection
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._timers = [self._loop.call_later(START_SECONDS, connection.abort)]
        if timeout:
            self._timers.append(self._loop.call_later(timeout, connection.abort))

    async def run(self, client: ByteStream) -> None:
        """Carry until both directions have ended."""
        self._timers[0].cancel()
        upward = self._tasks.start(self._carry_up(client), "tunnel")
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
