"""What HTTP/2 servers and clients share: the socket, the output, and streams with back-pressure.

The two directions of a body. Received bytes are held by a StreamBody; each chunk that is pulled
gives window back, so a slow reader stops its sender and no other stream. Sent bytes are queued in
the codec; a writer that has HIGH_WATER queued waits until the peer's windows, and the socket, took
them. Output of all streams that spoke during one turn of the loop leaves in one write.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import structlog

from quantum.errors import BodyAborted
from quantum.http.body import HIGH_WATER, AnyBody, StreamBody, discard
from quantum.http.headers import Field, Headers
from quantum.wire.h2 import (
    CANCEL,
    INTERNAL_ERROR,
    Fields,
    H2Codec,
    H2Failure,
    H2Settings,
    H2Sink,
    H2StreamGone,
    last_words,
)
from quantum.wire.mux.codec import MuxCodec

WRITE_BYTES = 256 * 1024
"""The most that is serialized before the socket is asked whether it keeps up."""

Codec = H2Codec | MuxCodec
"""What a connection speaks: HTTP/2, or the frames of the hop."""

_log = structlog.get_logger("quantum.connection")


class H2Stream:
    """One stream: the body that comes in, the writer that goes out."""

    __slots__ = ("_drained", "body", "connection", "id", "is_closed", "is_ended", "sent")

    def __init__(self, connection: H2Connection, stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.body: StreamBody | None = None
        self.is_closed = False
        self.is_ended = False
        self.sent = 0
        """Bytes of body that were queued, trailers not counted."""
        self._drained: asyncio.Future[None] | None = None

    def open_body(self, length: int | None) -> StreamBody:
        """Make the body that received bytes go to."""
        self.body = StreamBody(length, consumed=self._consumed, abandoned=self._abandoned)
        return self.body

    def _consumed(self, count: int) -> None:
        self.connection.codec.consumed(self.id, count)
        self.connection.wake()

    def _abandoned(self) -> None:
        """Hear that the reader of ``body`` gave up before its end."""
        self.reset(CANCEL)

    def receive(self, data: bytes, ended: bool) -> None:
        """Pass received bytes on."""
        body = self.body
        if data:
            if body is None:
                self.connection.codec.consumed(self.id, len(data))
            else:
                body.feed(data)
        if ended and body is not None:
            body.finish()

    async def write(self, data: bytes) -> None:
        """Queue ``data``, then wait while too much is queued; BodyAborted when the stream is cut."""
        if self.is_closed:
            raise BodyAborted("the stream was reset")
        if not data:
            return
        connection = self.connection
        self.sent += len(data)
        connection.body_bytes += len(data)
        try:
            connection.codec.send_data(self.id, data)
            connection.wake()
            if connection.codec.queued(self.id) >= HIGH_WATER and not connection.is_reading:
                connection.flush()
        except H2StreamGone as gone:
            raise BodyAborted("the stream was reset") from gone
        while connection.codec.queued(self.id) >= HIGH_WATER:
            await self._drain()

    def write_now(self, data: bytes) -> bool:
        """Queue ``data`` if no writer waits and little is queued; whether that is so."""
        connection = self.connection
        if self.is_closed or self._drained is not None:
            return False
        try:
            if connection.codec.queued(self.id) >= HIGH_WATER:
                return False
            connection.codec.send_data(self.id, data)
        except H2StreamGone:
            return False
        self.sent += len(data)
        connection.body_bytes += len(data)
        connection.wake()
        return True

    async def _drain(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()
        self.connection.wait_for_output(self)
        try:
            await self._drained
        finally:
            self._drained = None
        if self.is_closed:
            raise BodyAborted("the stream was reset")

    def end(self, data: bytes = b"", trailers: Headers | None = None) -> None:
        """End our direction, after what is queued; a stream that is cut stays cut."""
        if self.is_closed or self.is_ended:
            return
        self.is_ended = True
        self.sent += len(data)
        self.connection.body_bytes += len(data)
        codec = self.connection.codec
        try:
            if trailers is not None and len(trailers):
                if data:
                    codec.send_data(self.id, data)
                codec.send_trailers(self.id, trailers.fields)
            else:
                codec.send_data(self.id, data, True)
        except H2StreamGone:
            return
        self.connection.wake()

    async def send_body(self, body: AnyBody) -> None:
        """Send a whole body with its trailers and end our direction; closes ``body`` if it fails."""
        if isinstance(body, bytes):
            if len(body) > HIGH_WATER:
                await self.write(body)
                body = b""
            self.end(body)
            return
        try:
            async for chunk in body:
                await self.write(chunk)
        except BaseException:
            await discard(body)
            raise
        self.end(trailers=body.trailers)

    def reset(self, error_code: int) -> None:
        """Cut the stream. Idempotent."""
        if not self.is_closed and not self.connection.is_lost:
            try:
                self.connection.codec.reset(self.id, error_code)
            except H2Failure:
                return
            self.connection.wake()

    def output_moved(self) -> bool:
        """Hear that output left; return whether the stream still waits for more room."""
        waiter = self._drained
        if waiter is None or waiter.done():
            return False
        if not self.is_closed and self.connection.codec.queued(self.id) > HIGH_WATER // 2:
            return True
        waiter.set_result(None)
        return False

    def closed(self, error_code: int, failure: Exception | None = None) -> None:
        """Hear that the stream is over; a body that did not end fails, with ``failure`` if given."""
        self.is_closed = True
        body = self.body
        if body is not None and not body.is_ended:
            reason = f"the stream was reset with code {error_code:#x}"
            body.fail(failure or BodyAborted(reason))
        if self._drained is not None:
            self.output_moved()


class H2Connection(asyncio.Protocol, H2Sink):
    """One socket and one codec; the streams belong to the subclass."""

    def __init__(
        self,
        role: Literal["client", "server"],
        settings: H2Settings,
        loop: asyncio.AbstractEventLoop,
        make_codec: type[Codec] = H2Codec,
    ) -> None:
        self.codec: Codec = make_codec(role, settings, self)
        self.loop = loop
        self.is_lost = False
        self.is_reading = False
        self.body_bytes = 0
        self.write_bytes = WRITE_BYTES
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._is_woken = False
        self._waiting: dict[int, H2Stream] = {}

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket and say hello."""
        self._transport = transport  # type: ignore[assignment]
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Read, answer, and write everything that came of it at once."""
        self._is_woken = True  # streams that speak now need no turn of their own
        self.is_reading = True  # taking output now would tell the sink out of order
        try:
            self.take_in(data)
        except H2Failure as failure:
            self.fail(failure)
        except Exception as error:  # noqa: BLE001 - one connection's defect must not end the loop
            _log.exception("h2_connection_failed", error=repr(error))
            self.fail(H2Failure(repr(error), INTERNAL_ERROR))
        finally:
            self.is_reading = False
        self.batch_received()
        self.flush()

    def eof_received(self) -> bool:
        """Close when the peer closes: HTTP/2 has no half-open connections."""
        return False

    def pause_writing(self) -> None:
        """Stop taking output: the peer's socket is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every stream."""
        if not self.is_lost:
            self.is_lost = True
            self.lost(exc or ConnectionResetError("the connection was closed"))
            self._waiting.clear()
            self.codec.terminate(CANCEL)  # queued bodies are given back now, not by the collector

    # The output.

    @property
    def bytes_moved(self) -> int:
        """Bytes of bodies that left, or were dropped with their streams, since the beginning."""
        return self.body_bytes - self.codec.queued_bytes

    def wake(self) -> None:
        """See to it that queued output leaves in this turn of the loop."""
        if not self._is_woken:
            self._is_woken = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the windows and the socket allow; wake writers that have room again."""
        self._is_woken = False
        transport = self._transport
        if self.is_lost or transport is None:
            return
        try:
            while not self._is_paused:
                pieces = self.codec.take_pieces(self.write_bytes)
                if len(pieces) == 1:
                    transport.write(pieces[0])
                elif pieces:
                    transport.writelines(pieces)
                if sum(map(len, pieces)) < self.write_bytes:
                    break
        except H2Failure as failure:
            self.fail(failure)
            return
        if self._waiting:
            self._waiting = {i: s for i, s in self._waiting.items() if s.output_moved()}

    def wait_for_output(self, stream: H2Stream) -> None:
        """Call the stream's ``output_moved`` after writes until it returns False."""
        self._waiting[stream.id] = stream

    def fail(self, failure: Exception) -> None:
        """End the connection for a reason: say GOAWAY if that is still possible, then close."""
        if self.is_lost:
            return
        transport = self._transport
        try:
            data = self.codec.take_output(WRITE_BYTES)
            if data and transport is not None:
                transport.write(data)
        except H2Failure:  # the codec is beyond words
            if isinstance(failure, H2Failure) and failure.code and transport is not None:
                transport.write(last_words(failure.code))
        self.close()
        self.connection_lost(failure)

    def close(self) -> None:
        """Close the socket after what was written."""
        if self._transport is not None:
            self._transport.close()

    def connection_closed(self, error_code: int) -> None:
        """Close the socket when the protocol is over."""
        self.loop.call_soon(self.close)

    # What a role makes of it.

    def take_in(self, data: bytes) -> None:
        """Give the codec what was read; H2Failure when it is refused."""
        self.codec.receive(data)

    def batch_received(self) -> None:
        """Hear that everything which came with one read of the socket was told."""

    def lost(self, failure: Exception) -> None:
        """Hear that the socket is gone."""

    @property
    def transport(self) -> Any:
        """The socket, for its extra information."""
        return self._transport


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value of ``name``."""
    for key, value in fields:
        if key == name:
            return value
    return None


def length_of(fields: Fields) -> int | None:
    """Return the content-length; the codec has checked its form."""
    value = field_value(fields, b"content-length")
    return int(value) if value is not None else None


def trailers_of(fields: Fields) -> Headers:
    """Return trailer fields as headers."""
    plain: list[Field] = list(fields)
    return Headers(plain)
