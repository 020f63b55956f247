"""One HTTP/3 connection: aioquic's state machines, the timer, the exchanges.

Events are handled as datagrams come in; what they cause is sent once per burst. Limits that aioquic
leaves open are kept here: how fast requests may be reset (CVE-2023-44487 for QUIC), and for how long
nothing of an answer need be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

import structlog
from aioquic.h3.connection import ErrorCode
from aioquic.quic import events

from quantum.connection.h2_server import H2Application
from quantum.errors import HttpError
from quantum.http.headers import Field
from quantum.net.address import peer_of
from quantum.wire.allowance import Allowance
from services.edge.protocols.h3.codec import H3Codec, H3Failure
from services.edge.protocols.h3.datagrams import Address, DatagramSocket
from services.edge.protocols.h3.quic import MAX_STREAMS, EdgeQuicConnection, QuicCertificate
from services.edge.protocols.h3.stream import H3Exchange
from services.edge.protocols.pace import (
    LOOK_SECONDS,
    Pace,
    Sample,
    Transfers,
    read_pace,
    write_pace,
)

RESETS = (100, 10)
"""Burst and rate per second of requests a client may cut before its connection is closed."""

WASTED_FRAMES = (500, 100)
"""Burst and rate per second of frames and streams that ask for nothing (as over HTTP/2)."""

NOTICE_SECONDS = 0.1
"""Between the two GOAWAYs of a drain: requests already on their way arrive in it (RFC 9114 §5.2)."""

MAX_STREAM_ID = (1 << 62) - 4
"""The highest id of a client's request stream: in a GOAWAY it forbids nothing yet."""

ACK_EVERY = 2
"""Datagrams after which an acknowledgement goes out by itself (RFC 9000 §13.2.2)."""

STALLED_SECONDS = 20.0
"""For how long a client may acknowledge nothing of what waits for it; noticed by a look: 20 to 30 s."""

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

    def reached(self, limit: str, peer: str = "") -> None:
        """Something is cut because of a limit; ``peer``: the address whose connection ends by it."""


class H3ServerConnection:
    """One client."""

    quic: EdgeQuicConnection

    def __init__(self, endpoint: Endpoint, field_bytes: int) -> None:
        """``field_bytes`` bounds a header block; ``quic`` MUST be set before the first datagram."""
        self.loop = endpoint.loop
        self.is_closed = False
        self.is_fetching = False
        self.counted_as: str | None = None
        """The address that the client proved when it was counted; None before."""
        self.ids: set[bytes] = set()
        self.exchanges: dict[int, H3Exchange] = {}
        self._endpoint = endpoint
        self._socket = endpoint.socket
        self._field_bytes = field_bytes
        self._application: H2Application | None = None
        self._application_for: tuple[Address, bool] = ((), False)
        self._address: Address = ("", 0)
        self._h3: H3Codec | None = None
        self._begun: H3Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_woken = False
        self._is_draining = False
        self._may_close = False
        self._is_closing = False
        self._resets = Allowance(*RESETS, self.loop.time())
        self._wasted = Allowance(*WASTED_FRAMES, self.loop.time())
        self._highest_stream = -4
        self._was_heard = True
        self._unacknowledged = 0
        self._waiting: set[H3Exchange] = set()
        self._moved = 0
        self._moved_at = self._pinged_at = self.loop.time()
        self._reading: Transfers[H3Exchange] = Transfers()
        self._writing: Transfers[H3Exchange] = Transfers()

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
        self._is_woken = True  # it will
        self._was_heard = True
        self._unacknowledged += 1
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
        now = self.loop.time()
        self.quic.acknowledge(now, at_once=self._unacknowledged >= ACK_EVERY)
        if not self.quic.is_quiet(now):
            self._unacknowledged = 0
            datagrams = self.quic.datagrams_to_send(now)
            if datagrams:
                self._socket.send(datagrams)
        if self._waiting:
            self._waiting = {exchange for exchange in self._waiting if exchange.output_moved()}
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
                self._h3 = H3Codec(self.quic, self, self._field_bytes)
            elif isinstance(event, events.ConnectionIdIssued):
                self._endpoint.ids_changed(self, event.connection_id, is_issued=True)
            elif isinstance(event, events.ConnectionIdRetired):
                self._endpoint.ids_changed(self, event.connection_id, is_issued=False)
            elif isinstance(event, events.ConnectionTerminated):
                self.ended()

    def _stream_data(self, event: events.StreamDataReceived) -> None:
        h3, stream_id, data = self._h3, event.stream_id, event.data
        if h3 is None or self._is_closing:
            return
        try:
            delivered = h3.receive(stream_id, data, ended=event.end_stream)
        except H3Failure as failure:
            self.close(failure.code, str(failure))
            return
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.begin()  # what came with the head is there already
        if delivered < len(data):
            self.consumed(stream_id, len(data) - delivered)

    def head_received(self, stream_id: int, fields: list[Field], *, ended: bool) -> None:
        """Prepare an exchange, or refuse it."""
        self._highest_stream = max(self._highest_stream, stream_id)
        if self._may_close:
            self._cut(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            return
        if len(self.exchanges) >= MAX_STREAMS:  # those that were cut have not given up yet
            self._cut(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self._charge_reset()
            return
        exchange = self._begun = self.exchanges[stream_id] = H3Exchange(self, stream_id, fields)
        if not ended:
            exchange.expect_body()

    def data_received(self, stream_id: int, data: bytes) -> None:
        """Pass a piece of a body on."""
        exchange = self.exchanges.get(stream_id)
        if exchange is not None:
            exchange.receive(data)
        else:
            self.consumed(stream_id, len(data))

    def message_ended(self, stream_id: int, trailers: list[Field] | None) -> None:
        """End a body."""
        exchange = self.exchanges.get(stream_id)
        if exchange is not None:
            exchange.request_ended(trailers)

    def message_broken(self, stream_id: int, code: int, reason: str) -> None:
        """Cut a stream that breaks the rules of messages."""
        _log.debug("h3_message_broken", peer=self.peer[0], reason=reason)
        exchange = self.exchanges.get(stream_id)
        if exchange is not None:
            exchange.response_unwanted()
        self._cut(stream_id, code)
        self._charge_reset()

    def head_too_large(self, stream_id: int) -> None:
        """Refuse a head without reading it."""
        self.send(stream_id, [(b":status", b"431")], b"", True)
        self.stop_receiving(stream_id, ErrorCode.H3_EXCESSIVE_LOAD)
        self._charge_reset()

    def _cut(self, stream_id: int, code: int) -> None:
        self.reset(stream_id, code)
        self.stop_receiving(stream_id, code)

    def _stream_reset(self, event: events.StreamReset) -> None:
        self.quic.was_reset(event.stream_id)
        if self._h3 is not None:
            try:
                self._h3.reset(event.stream_id)
            except H3Failure as failure:
                self.close(failure.code, str(failure))
                return
        exchange = self.exchanges.get(event.stream_id)
        if exchange is None:
            return
        if exchange.was_told_to_stop:
            exchange.request_reset()  # as it must (RFC 9000 §3.5); it still wants its answer
        else:  # half a cancellation is one (RFC 9114 §4.1.1)
            exchange.response_unwanted()
            self.reset(event.stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            self._charge_reset()

    def _stop_sending(self, event: events.StopSendingReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.response_unwanted()
            self._charge_reset()
        elif event.stream_id & 2:
            self.close(ErrorCode.H3_CLOSED_CRITICAL_STREAM, "a critical stream was stopped")

    def _charge_reset(self) -> None:
        if not self._resets.spend(self.loop.time()):
            self._end_for("h3_resets")

    def frame_wasted(self) -> None:
        """Count a frame that asks for nothing."""
        if not self._wasted.spend(self.loop.time()):
            self._end_for("h3_frames")

    def _end_for(self, limit: str) -> None:
        if not self._is_closing:
            self._endpoint.reached(limit, self.counted_as or "")
            self.close(ErrorCode.H3_EXCESSIVE_LOAD, limit)

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
            self._h3.send(stream_id, fields, data, ended=ended)
        except (RuntimeError, ValueError) as error:
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

    def wait_for_output(self, exchange: H3Exchange) -> None:
        """Call ``output_moved`` after writes until it returns False."""
        self._waiting.add(exchange)

    def exchange_ended(self, stream_id: int) -> None:
        """Forget an exchange whose handler is done."""
        self.exchanges.pop(stream_id, None)
        self.quic.forget(stream_id)
        if self._is_draining:
            self.wake()

    # Time.

    def look(self, read: Pace, write: Pace) -> None:
        """Look after the connection: every few seconds."""
        if self.is_closed or not self.exchanges:
            return
        now = self.loop.time()
        self._look_at_exchanges(now, read, write)
        moved, waiting = self.quic.acknowledged, self.quic.has_unsent
        if not waiting or moved != self._moved:
            self._moved, self._moved_at = moved, now
        if now - self._moved_at > STALLED_SECONDS:
            self._end_for("h3_stalled")
        elif not self._was_heard and now - self._pinged_at >= LOOK_SECONDS:
            self._pinged_at = now
            self.quic.send_ping(0)  # a handler that takes its time must not outlast the connection
            self.wake()
        self._was_heard = False

    def _look_at_exchanges(self, now: float, read: Pace, write: Pace) -> None:
        """End what comes, or is taken, too slowly."""
        exchanges = [e for e in self.exchanges.values() if not e.is_tunnel]
        for exchange, bound in self._reading.look(_requests(exchanges, read), now):
            self._endpoint.reached(f"read_{bound}")
            assert exchange.body is not None
            exchange.body.fail(HttpError(408, f"the body came too slowly: read_{bound}"))
        for exchange, bound in self._writing.look(self._answers(exchanges, write), now):
            self._endpoint.reached(f"write_{bound}")
            exchange.too_slow()

    def _answers(self, exchanges: list[H3Exchange], server: Pace) -> Iterator[Sample[H3Exchange]]:
        for exchange in exchanges:
            unsent, pace = self.quic.unsent(exchange.id), write_pace(exchange.pace, server)
            yield Sample(exchange, exchange.began, exchange.sent - unsent, unsent > 0, pace)

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
        if self._h3 is not None:
            self._h3.goaway(stream_id)
        self.wake()

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection; the peer learns the code."""
        self._is_closing = True
        self.quic.close(error_code=code, reason_phrase=reason)
        for exchange in list(self.exchanges.values()):
            exchange.response_unwanted()
        self.wake()


def _requests(exchanges: list[H3Exchange], server: Pace) -> Iterator[Sample[H3Exchange]]:
    for exchange in exchanges:
        body = exchange.body
        if body is not None and not body.is_ended:
            is_waiting, pace = body.awaited_by is not None, read_pace(exchange.pace, server)
            yield Sample(exchange, exchange.began, body.received, is_waiting, pace)
