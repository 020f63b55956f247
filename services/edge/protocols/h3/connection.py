"""One HTTP/3 connection: aioquic's state machines, the timer, the exchanges.

Events are handled as datagrams come in; what they cause is sent once per burst. Limits that aioquic
leaves open are kept here: the size of a header block in flight, the number and size of fields, and
how fast requests may be reset (CVE-2023-44487 for QUIC).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection, encode_frame
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events

from quantum.connection.h2_server import H2Application
from quantum.http.headers import Field
from services.edge.protocols.h3.datagrams import Address, DatagramSocket
from services.edge.protocols.h3.quic import EdgeQuicConnection
from services.edge.protocols.h3.stream import H3Exchange

FIELD_COUNT = 100
"""Fields of one message, cookie crumbs counted one by one: Envoy's and HAProxy's figure."""

FIELD_OVERHEAD = 32
"""Bytes each field counts beside its text (RFC 9114 §4.2.2)."""

RESETS = (100, 10)
"""Burst and rate per second of requests a client may cut before its connection is closed."""

_log = structlog.get_logger("quantum.edge.h3")


class H3ServerConnection:
    """One client. ``application`` turns heads into Requests and back, as for HTTP/2."""

    def __init__(
        self,
        quic: EdgeQuicConnection,
        sockets: DatagramSocket,
        make_application: Callable[[H3ServerConnection], H2Application],
        field_bytes: int,
        on_ids: Callable[[H3ServerConnection, bytes, bool], None],
        on_closed: Callable[[H3ServerConnection], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``field_bytes`` bounds a header block; ``on_ids`` hears of connection ids issued and retired."""
        self.quic = quic
        self.loop = loop
        self.is_closed = False
        self.is_established = False
        self.peer: Address = ("", 0)
        self.ids: set[bytes] = set()
        self.exchanges: dict[int, H3Exchange] = {}
        self._make_application = make_application
        self._application: H2Application | None = None
        self._socket = sockets
        self._field_bytes = field_bytes
        self._on_ids = on_ids
        self._on_closed = on_closed
        self._h3: H3Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_woken = False
        self._is_draining = False
        self._is_closing = False
        self._budget, self._budget_at = float(RESETS[0]), loop.time()
        self._highest_stream = -4

    @property
    def application(self) -> H2Application:
        """Turns heads into messages; made when the handshake has told what the client is."""
        if self._application is None:
            self._application = self._make_application(self)
        return self._application

    # Datagrams.

    def receive(self, data: bytes, address: Address) -> None:
        """Take a datagram; ``transmit`` MUST follow when the burst is over."""
        self.peer = address
        self.quic.receive_datagram(data, address, self.loop.time())
        self._handle_events()

    def transmit(self) -> None:
        """Send what is due and set the timer."""
        self._is_woken = False
        if self.is_closed:
            return
        datagrams = self.quic.datagrams_to_send(self.loop.time())
        if datagrams:
            self._socket.send(datagrams)
        for exchange in list(self.exchanges.values()):
            exchange.output_moved()
        if self._is_draining and not (self._is_closing or self.exchanges or self.quic.has_unsent):
            self.close(ErrorCode.H3_NO_ERROR)
        self._set_timer()

    def wake(self) -> None:
        """See to it that ``transmit`` runs in this turn of the loop."""
        if not self._is_woken:
            self._is_woken = True
            self.loop.call_soon(self.transmit)

    def _set_timer(self) -> None:
        """Keep a timer that fires no later than aioquic's; one that fires early looks again."""
        at = self.quic.get_timer()
        if at is None:
            return
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.loop.call_at(at, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        at = self.quic.get_timer()
        now = self.loop.time()
        if at is not None and at <= now:
            self.quic.handle_timer(now)
            self._handle_events()
        self.transmit()

    # Events.

    def _handle_events(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, events.StreamDataReceived):
                self._stream_data(event)
            elif isinstance(event, events.StreamReset):
                self._stream_reset(event)
            elif isinstance(event, events.StopSendingReceived):
                self._stop_sending(event)
            elif isinstance(event, events.ProtocolNegotiated):
                self._h3 = H3Connection(self.quic)
            elif isinstance(event, events.HandshakeCompleted):
                self.is_established = True
            elif isinstance(event, events.ConnectionIdIssued):
                self._on_ids(self, event.connection_id, True)
            elif isinstance(event, events.ConnectionIdRetired):
                self._on_ids(self, event.connection_id, False)
            elif isinstance(event, events.ConnectionTerminated):
                self._terminated()

    def _stream_data(self, event: events.StreamDataReceived) -> None:
        if self._h3 is None:
            return
        received = len(event.data)
        for happened in self._h3.handle_event(event):
            if isinstance(happened, DataReceived):
                received -= len(happened.data)
            self._message(happened)
        if received > 0:
            self.consumed(event.stream_id, received)
        held = self._h3._stream.get(event.stream_id)  # noqa: SLF001 - an unfinished header block
        if held is not None and len(held.buffer) > self._field_bytes:
            self.close(ErrorCode.H3_EXCESSIVE_LOAD, "header block too large")

    def _message(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            exchange = self.exchanges.get(event.stream_id)
            if exchange is not None:
                exchange.trailers(event.headers)
            else:
                self._request(event)
        elif isinstance(event, DataReceived):
            exchange = self.exchanges.get(event.stream_id)
            if exchange is not None:
                exchange.receive(event.data, event.stream_ended)
            elif event.data:
                self.consumed(event.stream_id, len(event.data))

    def _request(self, event: HeadersReceived) -> None:
        self._highest_stream = max(self._highest_stream, event.stream_id)
        if self._is_draining:
            self.reset(event.stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.stop_receiving(event.stream_id, ErrorCode.H3_REQUEST_REJECTED)
            return
        size = sum(len(n) + len(v) + FIELD_OVERHEAD for n, v in event.headers)
        if size > self._field_bytes or len(event.headers) > FIELD_COUNT:
            self.send(event.stream_id, [(b":status", b"431")], b"", True)
            if not event.stream_ended:
                self.stop_receiving(event.stream_id, ErrorCode.H3_EXCESSIVE_LOAD)
            return
        exchange = H3Exchange(self, event.stream_id, event.headers)
        self.exchanges[event.stream_id] = exchange
        exchange.begin(event.stream_ended)

    def _stream_reset(self, event: events.StreamReset) -> None:
        if self._h3 is not None:
            self._h3.handle_event(event)
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.request_reset()
            self._charge_reset()

    def _stop_sending(self, event: events.StopSendingReceived) -> None:
        if self._h3 is not None:
            self._h3.handle_event(event)
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.response_unwanted()
            self._charge_reset()

    def _charge_reset(self) -> None:
        burst, rate = RESETS
        now = self.loop.time()
        self._budget = min(float(burst), self._budget + (now - self._budget_at) * rate) - 1
        self._budget_at = now
        if self._budget < 0:
            self.close(ErrorCode.H3_EXCESSIVE_LOAD, "too many resets")

    def _terminated(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange in list(self.exchanges.values()):
            exchange.response_unwanted()
        self._on_closed(self)

    # What exchanges do.

    def send(
        self, stream_id: int, fields: Sequence[Field] | None, data: bytes, ended: bool
    ) -> None:
        """Send a head (or trailers) and data of a stream, joined; ignored when it is gone."""
        if self._h3 is None or self.is_closed:
            return
        try:
            if fields is not None:
                self._h3.send_headers(stream_id, list(fields), ended and not data)
            if data:
                self._h3.send_data(stream_id, data, ended)
            elif ended and fields is None:
                self.quic.send_stream_data(stream_id, b"", True)
        except (RuntimeError, AssertionError, ValueError) as error:
            _log.debug("h3_stream_gone", stream=stream_id, reason=str(error))
        self.wake()

    def reset(self, stream_id: int, code: int) -> None:
        """Cut our direction of a stream."""
        if not self.is_closed:
            self.quic.reset_stream(stream_id, code)
            self.wake()

    def stop_receiving(self, stream_id: int, code: int) -> None:
        """Ask the client to stop sending on a stream."""
        if not self.is_closed:
            try:
                self.quic.stop_stream(stream_id, code)
            except (ValueError, AssertionError):
                return  # it ended by itself meanwhile
            self.wake()

    def consumed(self, stream_id: int, count: int) -> None:
        """Give window back for bytes that were read."""
        if not self.is_closed and self.quic.consumed(stream_id, count):
            self.wake()

    def exchange_ended(self, stream_id: int) -> None:
        """Forget an exchange whose handler is done."""
        self.exchanges.pop(stream_id, None)
        self.quic.forget(stream_id)
        if self._is_draining:
            self.wake()

    # The end.

    def drain(self) -> None:
        """Say GOAWAY: what is under way is finished, anything newer is refused."""
        if self._is_draining or self.is_closed:
            return
        self._is_draining = True
        control = self._h3._local_control_stream_id if self._h3 is not None else None  # noqa: SLF001
        if control is not None:
            identifier = _variable_integer(self._highest_stream + 4)
            self.quic.send_stream_data(control, encode_frame(FrameType.GOAWAY, identifier))
        self.wake()

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection; the peer learns the code."""
        self._is_closing = True
        self.quic.close(error_code=code, reason_phrase=reason)
        self.wake()


def _variable_integer(value: int) -> bytes:
    """Encode a QUIC variable-length integer (RFC 9000 §16)."""
    for size, prefix in ((1, 0x00), (2, 0x40), (4, 0x80), (8, 0xC0)):
        if value < 1 << (8 * size - 2):
            encoded = value.to_bytes(size, "big")
            return bytes([encoded[0] | prefix]) + encoded[1:]
    raise ValueError("too large for a QUIC integer")
