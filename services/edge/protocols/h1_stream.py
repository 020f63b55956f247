"""The client's side of a connection that has switched to another protocol (101)."""

from __future__ import annotations

import asyncio

from quantum.errors import BodyAborted

HIGH_WATER = 64 * 1024
"""Bytes read ahead of the tunnel's reader before the socket is paused."""


class UpgradedStream:
    """A ByteStream over a transport; the connection's protocol forwards its callbacks to it."""

    __slots__ = (
        "_chunks", "_ended", "_failure", "_loop", "_read_paused", "_reader", "_size", "_transport",
        "_write_paused", "_writers",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._chunks: list[bytes] = []  # always taken whole; an empty deque has 600 bytes
        self._size = 0
        self._ended = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writers: tuple[asyncio.Future[None], ...] = ()
        self._write_paused = False
        self._read_paused = False

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the client's end."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._chunks.pop() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send; waits while the client is slow."""
        self._check()
        self._transport.write(data)
        while self._write_paused:
            waiter = self._loop.create_future()
            self._writers = (*self._writers, waiter)
            await waiter
            self._check()

    def write_now(self, data: bytes) -> bool:
        """Send without waiting, if the client keeps up."""
        if self._write_paused or self._failure is not None:
            return False
        self._transport.write(data)
        return True

    async def write_end(self) -> None:
        """End our direction; TLS can only end both, after what is written, and a client must hear of it."""
        if self._failure is not None:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Cut both directions."""
        self._transport.abort()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Bytes came from the client."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= HIGH_WATER and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def feed_end(self) -> None:
        """The client ended its direction."""
        self._ended = True
        self._wake_reader()

    def fail(self) -> None:
        """The connection is gone."""
        self._failure = BodyAborted("the client closed the upgraded connection")
        self._wake_reader()
        self.set_write_paused(False)

    def set_write_paused(self, paused: bool) -> None:
        """The transport's buffer is full, or has room again."""
        self._write_paused = paused
        if not paused:
            writers, self._writers = self._writers, ()
            for writer in writers:
                if not writer.done():
                    writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
