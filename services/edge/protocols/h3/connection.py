"""One HTTP/3 connection: aioquic's state machines, the timer, the exchanges.

Events are handled as datagrams come in; what they cause is sent once per burst. Limits that aioquic
leaves open are kept here: the size of a header block in flight, the number and size of fields, and
how fast requests may be reset (CVE-2023-44487 for QUIC).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection, encode_frame
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events

from quantum.connection.h2_server import H2Application
from quantum.http.headers import Field
from quantum.net.address import peer_of
from services.edge.protocols.h3.datagrams import Address, DatagramSocket
from services.edge.protocols.h3.quic import EdgeQuicConnection, QuicCertificate
from services.edge.protocols.h3.stream import H3Exchange

FIELD_COUNT = 100
"""Fields of one message, cookie crumbs counted one by one: Envoy's and HAProxy's figure."""

FIELD_OVERHEAD = 32
"""Bytes each field counts beside its text (RFC 9114 §4.2.2)."""

RESETS = (100, 10)
"""Burst and rate per second of requests a client may cut before its connection is closed."""

NOTICE_SECONDS = 0.1
"""Between the two GOAWAYs of a drain: requests already on their way arrive in it (RFC 9114 §5.2)."""

MAX_STREAM_ID = (1 << 62) - 4
"""The highest id of a client's request stream: in a GOAWAY it forbids nothing yet."""

STALLED_LOOKS = 2
"""Looks without a byte acknowledged, while answers wait, after which a client is cut: 20 to 30 s."""

_log = structlog.get_logger("quantum.edge.h3")


class Endpoint(Protocol):
    """The socket a connection came in by, and who looks after it."""

    loop: asyncio.AbstractEventLoop
    socket: DatagramSocket

    def application_of(self, connection: H3ServerConnection) -> H2Application:
        """Return what turns heads into messages, for the state the connection is in."""

    def ids_changed(self, connection: H3ServerConnection, cid: bytes, *, is_issued: bool) -> None:
        """A connection has one more id of its own, or one less."""

    def closed(self, connection: H3ServerConnection) -> None:
        """A connection is gone."""


class H3ServerConnection:
    """One client."""

    quic: EdgeQuicConnection

    def __init__(self, endpoint: Endpoint, field_bytes: int) -> None:
        """``field_bytes`` bounds a header block; ``quic`` MUST be set before the first datagram."""
        self.loop = endpoint.loop
        self.is_closed = False
        self.is_fetching = False
        self.ids: set[bytes] = set()
        self.exchanges: dict[int, H3Exchange] = {}
        self._endpoint = endpoint
        self._socket = endpoint.socket
        self._field_bytes = field_bytes
        self._application: H2Application | None = None
        self._application_for: tuple[Address, bool] = ((), False)
        self._address: Address = ("", 0)
        self._h3: H3Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_woken = False
        self._is_draining = False
        self._may_close = False
        self._is_closing = False
        self._budget, self._budget_at = float(RESETS[0]), self.loop.time()
        self._highest_stream = -4
        self._was_heard = True
        self._moved = 0
        self._stalled_looks = 0

    @property
    def peer(self) -> tuple[str, int]:
        """The client's (IP, port), as it proved."""
        return peer_of(self._address)

    @property
    def local(self) -> tuple[str, int]:
        """Our (IP, port), as the client called it."""
        return self._socket.local_of(self._address)

    @property
    def application(self) -> H2Application:
        """Turns heads into messages; made anew when what is known of the client has changed."""
        address, is_validated = self.quic.path
        if not is_validated:
            address = self._address
        known = address, self.quic.is_established
        if self._application is None or known != self._application_for:
            self._address, self._application_for = address, known
            self._application = self._endpoint.application_of(self)
        return self._application

    # Datagrams.

    def receive(self, data: bytes, address: Address) -> None:
        """Take a datagram; ``transmit`` MUST follow when the burst is over."""
        self._was_heard = True
        if not self._address[0]:
            self._address = address  # the first one, which the handshake will prove
        self.quic.receive_datagram(data, address, self.loop.time())
        self._handle_events()

    def resume(self, certificate: QuicCertificate | None) -> None:
        """Go on with a handshake that waited for its certificate."""
        if not self.is_closed:
            self.quic.resume(certificate)
            self._handle_events()
            self.transmit()

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
        if self._may_close and not (self._is_closing or self.exchanges or self.quic.has_unsent):
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
            elif isinstance(event, events.ConnectionIdIssued):
                self._endpoint.ids_changed(self, event.connection_id, is_issued=True)
            elif isinstance(event, events.ConnectionIdRetired):
                self._endpoint.ids_changed(self, event.connection_id, is_issued=False)
            elif isinstance(event, events.ConnectionTerminated):
                self.ended()

    def _stream_data(self, event: events.StreamDataReceived) -> None:
        if self._h3 is None:
            return
        received = len(event.data)
        begun: H3Exchange | None = None
        for happened in self._h3.handle_event(event):
            if isinstance(happened, HeadersReceived):
                exchange = self.exchanges.get(happened.stream_id)
                if exchange is not None:
                    exchange.trailers(happened.headers)
                else:
                    begun = self._request(happened)
            elif isinstance(happened, DataReceived):
                received -= len(happened.data)
                self._body(happened)
        if begun is not None:
            begun.begin()  # what came with the head is there already
        if received > 0:
            self.consumed(event.stream_id, received)
        held = self._h3._stream.get(event.stream_id)  # noqa: SLF001 - an unfinished header block
        if held is not None and len(held.buffer) > self._field_bytes:
            self.close(ErrorCode.H3_EXCESSIVE_LOAD, "header block too large")

    def _body(self, event: DataReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.receive(event.data, event.stream_ended)
        elif event.data:
            self.consumed(event.stream_id, len(event.data))

    def _request(self, event: HeadersReceived) -> H3Exchange | None:
        self._highest_stream = max(self._highest_stream, event.stream_id)
        if self._may_close:
            self.reset(event.stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.stop_receiving(event.stream_id, ErrorCode.H3_REQUEST_REJECTED)
            return None
        size = sum(len(n) + len(v) + FIELD_OVERHEAD for n, v in event.headers)
        if size > self._field_bytes or len(event.headers) > FIELD_COUNT:
            self.send(event.stream_id, [(b":status", b"431")], b"", True)
            if not event.stream_ended:
                self.stop_receiving(event.stream_id, ErrorCode.H3_EXCESSIVE_LOAD)
            return None
        exchange = H3Exchange(self, event.stream_id, event.headers)
        if not event.stream_ended:
            exchange.expect_body()
        self.exchanges[event.stream_id] = exchange
        return exchange

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

    def ended(self) -> None:
        """Forget everything: the connection is gone. Idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange in list(self.exchanges.values()):
            exchange.response_unwanted()
        self._endpoint.closed(self)

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

    # Time.

    def look(self) -> None:
        """Look after the connection: every few seconds."""
        if self.is_closed or not self.exchanges:
            return
        moved, waiting = self.quic.acknowledged, self.quic.has_unsent
        self._stalled_looks = self._stalled_looks + 1 if waiting and moved == self._moved else 0
        self._moved = moved
        if self._stalled_looks > STALLED_LOOKS:
            self.close(ErrorCode.H3_EXCESSIVE_LOAD, "nothing was read for too long")
        elif not self._was_heard:
            self.quic.send_ping(0)  # a handler that takes its time must not outlast the connection
            self.wake()
        self._was_heard = False

    # The end.

    def drain(self) -> None:
        """Say GOAWAY; soon after take no new requests, and close when those under way are done."""
        if self._is_draining or self.is_closed:
            return
        self._is_draining = True
        self._say_goaway(MAX_STREAM_ID)
        self.loop.call_later(NOTICE_SECONDS, self._stop_taking)

    def _stop_taking(self) -> None:
        if not self.is_closed:
            self._may_close = True
            self._say_goaway(self._highest_stream + 4)

    def _say_goaway(self, stream_id: int) -> None:
        control = self._h3._local_control_stream_id if self._h3 is not None else None  # noqa: SLF001
        if control is not None:
            frame = encode_frame(FrameType.GOAWAY, encode_uint_var(stream_id))
            self.quic.send_stream_data(control, frame)
        self.wake()

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection; the peer learns the code."""
        self._is_closing = True
        self.quic.close(error_code=code, reason_phrase=reason)
        self.wake()
