"""Tunnels: an HTTP/2 stream as a ByteStream, and joining two ByteStreams."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from quantum.connection.h2 import H2Stream
from quantum.errors import BodyAborted
from quantum.http.body import StreamBody
from quantum.http.message import ByteStream
from quantum.tasks import drive
from quantum.wire.h2 import CANCEL


class TunnelStream(Protocol):
    """A stream of HTTP/2, or HTTP/3, as a tunnel writes to it."""

    async def write(self, data: bytes) -> None:
        """Send; waits while the peer is slow. BodyAborted when it is cut."""

    def end(self) -> None:
        """End our direction, after what is queued."""

    def reset(self, error_code: int) -> None:
        """Cut both."""


class H2Tunnel:
    """The two directions of an extended CONNECT stream (RFC 8441 §5, RFC 9220)."""

    __slots__ = ("_stream", "body")

    def __init__(self, stream: TunnelStream, body: StreamBody) -> None:
        """``body`` has what the peer sends."""
        self._stream = stream
        self.body = body

    def read(self) -> Coroutine[Any, Any, bytes]:
        """Return the next bytes, b"" at the peer's end; BodyAborted when it was cut."""
        return self.body.read()

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the peer is slow."""
        await self._stream.write(data)

    def write_now(self, data: bytes) -> bool:
        """Send without waiting, if the peer keeps up."""
        return isinstance(self._stream, H2Stream) and self._stream.write_now(data)

    async def write_end(self) -> None:
        """End our direction."""
        self.end()

    def end(self) -> None:
        """End our direction, after what is queued."""
        self._stream.end()

    def abort(self) -> None:
        """Cut both directions."""
        self._stream.reset(CANCEL)


async def relay(one: ByteStream, other: ByteStream) -> None:
    """Carry bytes both ways until both directions ended; a cut of one side cuts the other.

    Returns normally however the tunnel ends; a cancelled relay cuts both sides.
    """
    backwards = drive(_carry(other, one), asyncio.get_running_loop())
    try:
        await _carry(one, other)
        if backwards is not None:
            await asyncio.wait([backwards])
    except BaseException:
        one.abort()
        other.abort()
        raise
    finally:
        if backwards is not None and not backwards.done():
            backwards.cancel()
            await asyncio.wait([backwards])


async def _carry(source: ByteStream, target: ByteStream) -> None:
    try:
        while data := await source.read():
            await target.write(data)
        await target.write_end()
    except BodyAborted:
        source.abort()
        target.abort()
