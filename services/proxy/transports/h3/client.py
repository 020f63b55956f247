"""A connection to an upstream over HTTP/3 (RFC 9114), with the face of ``H2Client``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from aioquic.h3.connection import ErrorCode
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from quantum.connection.h2_client import OnInformational, RequestFailed
from quantum.connection.h2_tunnel import H2Tunnel
from quantum.errors import BodyAborted
from quantum.http.body import AnyBody, discard
from quantum.http.headers import Field
from quantum.tasks import TaskSet
from quantum.wire.h2 import Fields
from services.proxy.transports.h3.quic import ClientQuic, Http3
from services.proxy.transports.h3.stream import ClientStream

PING_SECONDS = 10.0
"""A connection with requests under way says something this often: silence would end it."""


class H3Answer(NamedTuple):
    """A response: its head's fields, its body (bytes if it was all there with the head), its stream."""

    fields: Fields
    body: AnyBody
    stream: ClientStream


class H3Client(asyncio.DatagramProtocol):
    """One QUIC connection on a socket of its own, which is connected: the kernel tells of refusals."""

    version = "HTTP/3.0"

    def __init__(
        self,
        quic: ClientQuic,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[Any], None],
        max_head_bytes: int,
    ) -> None:
        self.loop = loop
        self._quic = quic
        self._http = Http3(quic, self.leave)
        self._on_lost = on_lost
        self._max_head_bytes = max_head_bytes
        self._streams: dict[int, ClientStream] = {}
        self._senders = TaskSet("proxy:h3_request_body")
        self._ready: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._is_woken = False
        self._is_leaving = False
        self._is_lost = False

    # What callers use.

    @property
    def is_usable(self) -> bool:
        """Whether new requests can be sent."""
        return not (self._is_lost or self._is_leaving)

    @property
    def open_streams(self) -> int:
        """Requests under way."""
        return len(self._streams)

    @property
    def has_room(self) -> bool:
        """Whether a request would not have to wait for a stream."""
        return self._quic.has_room

    async def ready(self) -> None:
        """Wait for the handshake; RequestFailed when it fails."""
        await asyncio.shield(self._ready)

    async def request(
        self,
        fields: Fields,
        body: AnyBody = b"",
        *,
        on_informational: OnInformational | None = None,
        deadline: float | None = None,
    ) -> H3Answer:
        """Send a request and return its response once the head is there: as ``H2Client.request``."""
        try:
            stream = self._open(fields, on_informational, ended=not body)
        except BaseException:
            await discard(body)
            raise
        if body:
            stream.sender = self._senders.start(stream.send(body))
        answered = await self._wait_for_head(stream, deadline)
        return H3Answer(answered, stream.take_body(), stream)

    async def connect(
        self, fields: Fields, *, deadline: float | None = None
    ) -> tuple[H3Answer, H2Tunnel | None]:
        """Open a tunnel by extended CONNECT (RFC 9220); None when the peer answered otherwise than 2xx."""
        if not self._http.takes_extended_connect:
            raise RequestFailed("the peer takes no extended CONNECT", was_processed=False)
        stream = self._open(fields, None, ended=False)
        answered = await self._wait_for_head(stream, deadline)
        body = stream.take_body()
        if isinstance(body, bytes) or not answered[0][1].startswith(b"2"):
            stream.end()
            return H3Answer(answered, body, stream), None
        assert stream.body is not None
        return H3Answer(answered, b"", stream), H2Tunnel(stream, stream.body)

    def leave(self) -> None:
        """Take no more requests; close when those under way are done."""
        self._is_leaving = True
        self._close_if_done()

    def _open(self, fields: Fields, inform: OnInformational | None, *, ended: bool) -> ClientStream:
        if not self.is_usable:
            raise RequestFailed("the connection is closing", was_processed=False)
        stream_id = self._quic.get_next_available_stream_id()
        stream = ClientStream(self, stream_id, fields[0][1], inform)
        self._streams[stream_id] = stream
        stream.is_ended = ended
        self.send_head(stream_id, list(fields), ended=ended)
        if self._pinging is None:
            self._pinging = self.loop.call_later(PING_SECONDS, self._ping)
        return stream

    async def _wait_for_head(self, stream: ClientStream, deadline: float | None) -> Fields:
        timer = None if deadline is None else self.loop.call_at(deadline, stream.expire)
        try:
            return await stream.head
        except BaseException:
            stream.reset()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    # What streams do.

    def send_head(self, stream_id: int, fields: list[Field], *, ended: bool) -> None:
        """Queue a head or trailers."""
        self._http.send_headers(stream_id, fields, end_stream=ended)
        self._wake()

    def send_data(self, stream_id: int, data: bytes, *, ended: bool) -> None:
        """Queue body bytes."""
        if not self._is_lost:
            self._http.send_data(stream_id, data, end_stream=ended)
            self._wake()

    def unsent(self, stream_id: int) -> int:
        """Return the bytes of a stream that the peer did not acknowledge yet."""
        return self._quic.unsent(stream_id)

    def consumed(self, stream_id: int, count: int) -> None:
        """Give window back."""
        if self._quic.consumed(stream_id, count):
            self._wake()

    def cut(self, stream: ClientStream) -> None:
        """Reset both directions of a stream and forget it."""
        if not self._is_lost:
            code = ErrorCode.H3_REQUEST_CANCELLED
            if not stream.is_ended:
                self._quietly(self._quic.reset_stream, stream.id, code)
            self._quietly(self._quic.stop_stream, stream.id, code)
            self._wake()
        self._forget(stream, RequestFailed("the request was given up", was_processed=True))

    def progressed(self, stream: ClientStream) -> None:
        """Hear that one direction has ended; with both the stream is over."""
        if stream.is_answered and stream.is_ended:
            self._forget(stream, BodyAborted("the stream has ended"))

    def _quietly(self, act: Callable[[int, int], None], stream_id: int, code: int) -> None:
        try:
            act(stream_id, code)
        except (ValueError, AssertionError, RuntimeError):
            return  # it ended by itself meanwhile

    def _forget(self, stream: ClientStream, failure: Exception) -> None:
        if self._streams.pop(stream.id, None) is not None:
            stream.closed(failure)
            self._quic.forget(stream.id)
        if self._is_leaving:
            self._close_if_done()

    # What the peer says.

    def _happened(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            if not self._ready.done():
                self._ready.set_result(None)
        elif isinstance(event, ConnectionTerminated):
            self._lost(event.reason_phrase or f"closed with code {event.error_code:#x}")
            return
        elif isinstance(event, StreamReset):
            self._was_reset(event.stream_id, event.error_code)
        elif isinstance(event, StopSendingReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.stop_sending()
        elif isinstance(event, StreamDataReceived):
            self._quic.consumed(event.stream_id, len(event.data))  # but for what is handed on
        self._take_messages(event)
        if isinstance(event, StreamDataReceived):
            self._bound_head(event.stream_id, self._http.waiting(event.stream_id))

    def _bound_head(self, stream_id: int, size: int) -> bool:
        """Refuse a head above the bound; return whether it is not."""
        stream = self._streams.get(stream_id)
        if stream is None or size <= self._max_head_bytes:
            return stream is not None
        reason = f"response head exceeds {self._max_head_bytes} bytes"
        stream.fail(RequestFailed(reason, was_processed=True))
        stream.reset()
        return False

    def _take_messages(self, event: QuicEvent) -> None:
        for message in self._http.handle_event(event):
            if not isinstance(message, HeadersReceived | DataReceived):
                continue
            stream = self._streams.get(message.stream_id)
            if isinstance(message, HeadersReceived):
                size = sum(len(name) + len(value) for name, value in message.headers)
                if self._bound_head(message.stream_id, size) and stream is not None:
                    stream.head_received(message.headers, ended=message.stream_ended)
                continue
            self._quic.consumed(message.stream_id, -len(message.data))  # until it is read
            if stream is not None:
                stream.data_received(message.data, ended=message.stream_ended)
            else:
                self.consumed(message.stream_id, len(message.data))
                self._quic.forget(message.stream_id)

    def _was_reset(self, stream_id: int, code: int) -> None:
        self._quic.was_reset(stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            reason = f"the stream was reset with code {code:#x}"
            was_processed = code != ErrorCode.H3_REQUEST_REJECTED
            self._forget(
                stream, RequestFailed(reason, was_processed=was_processed, error_code=code)
            )

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket and begin the handshake."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._quic.connect(transport.get_extra_info("peername"), now=self.loop.time())
        self._transmit()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Read."""
        self._quic.receive_datagram(data, addr, now=self.loop.time())
        self._go_on()

    def error_received(self, error: Exception) -> None:
        """Hear that nobody listens there any more."""
        if isinstance(error, ConnectionRefusedError):
            self._lost("connection refused")

    def connection_lost(self, error: Exception | None) -> None:
        """Hear that the socket is closed."""
        self._lost("the socket was closed")

    def _go_on(self) -> None:
        while not self._is_lost and (event := self._quic.next_event()) is not None:
            self._happened(event)
        if self._http.is_broken:
            self._transmit()
            self._lost("the upstream broke the protocol")
        if self._is_lost:
            return
        for stream in tuple(self._streams.values()):
            stream.output_moved()
        self._transmit()

    def _wake(self) -> None:
        """Send what is queued in the next turn of the loop, once for everybody."""
        if not self._is_woken and not self._is_lost:
            self._is_woken = True
            self.loop.call_soon(self._transmit)

    def _transmit(self) -> None:
        self._is_woken = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for data, _ in self._quic.datagrams_to_send(now=self.loop.time()):
            transport.sendto(data)
        if self._timer is not None:
            self._timer.cancel()
        at = self._quic.get_timer()
        self._timer = None if at is None else self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._quic.handle_timer(now=self.loop.time())
        self._go_on()

    def _ping(self) -> None:
        self._pinging = None
        if self._streams and not self._is_lost:
            self._quic.send_ping(0)
            self._wake()
            self._pinging = self.loop.call_later(PING_SECONDS, self._ping)

    # The end.

    def _close_if_done(self) -> None:
        if not self._streams and not self._is_lost:
            self.loop.call_soon(self.close)

    def close(self) -> None:
        """Say goodbye, and cut what is under way. Idempotent."""
        if not self._is_lost:
            self._quic.close(error_code=ErrorCode.H3_NO_ERROR)
            self._transmit()
            self._lost("the connection is closing")

    def _lost(self, reason: str) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        for timer in (self._timer, self._pinging):
            if timer is not None:
                timer.cancel()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.closed(RequestFailed(f"the connection was lost: {reason}", was_processed=True))
        if not self._ready.done():
            self._ready.set_exception(RequestFailed(reason, was_processed=False))
            self._ready.exception()  # nobody may be waiting for it
        if self._transport is not None:
            self._transport.close()
        self._on_lost(self)
