"""What a QUIC connection does nearly always, in fewer steps than aioquic, which does all the rest.

The usual case: the handshake is over, the client is where it was, a packet has a short header, and
there is nothing to send but acknowledgements, windows and streams. Both methods look at the state
first and leave whatever is not usual to aioquic; what they do themselves is what it would have done.
They know its insides: its version is pinned, and the tests run both ways.
"""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic._crypto import CryptoError
from aioquic.quic.connection import (
    Limit,
    QuicConnection,
    QuicConnectionError,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
    stream_is_client_initiated,
)
from aioquic.quic.crypto import KeyUnavailableError
from aioquic.quic.packet import PACKET_SPIN_BIT, QuicErrorCode, QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace
from aioquic.quic.stream import QuicStream

ID_LENGTH = 8
"""Bytes of our connection ids (aioquic's default)."""

_ONE_RTT = tls.Epoch.ONE_RTT
_SHORT_HEADER, _FIXED_BITS, _RESERVED = 0x40, 0xC0, 0x18
_NO_ROOM = 32
"""Bytes left in a packet at which no stream is begun in it any more."""


class UsualConnection(QuicConnection):
    """A server connection with two short cuts."""

    _owes_window = False
    """Whether the client should hear of a larger window."""

    # Receiving.

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        """Take in a datagram."""
        path = self._network_paths[0] if self._network_paths else None
        if (
            path is None
            or path.addr != addr
            or data[0] & _FIXED_BITS != _SHORT_HEADER
            or data[1 : 1 + ID_LENGTH] != self.host_cid
            or not (self._handshake_confirmed and path.is_validated)
            or self._state is not QuicConnectionState.CONNECTED
            or self._cryptos[tls.Epoch.ZERO_RTT].recv.is_valid()
        ):
            super().receive_datagram(data, addr, now)
            return
        space = self._spaces[_ONE_RTT]
        try:
            header, payload, number = self._cryptos[_ONE_RTT].decrypt_packet(
                data, 1 + ID_LENGTH, space.expected_packet_number
            )
        except (CryptoError, KeyUnavailableError):
            return
        if number not in space.received_packets:
            self._take_packet(path, space, header[0], payload, number, now)

    def _take_packet(
        self,
        path: QuicNetworkPath,
        space: QuicPacketSpace,
        first: int,
        payload: bytes,
        number: int,
        now: float,
    ) -> None:
        if first & _RESERVED:
            self.close(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=QuicFrameType.PADDING,
                reason_phrase="Reserved bits must be zero",
            )
            return
        if number > space.expected_packet_number:
            space.expected_packet_number = number + 1
        if number > self._spin_highest_pn:
            self._spin_bit = bool(first & PACKET_SPIN_BIT)
            self._spin_highest_pn = number
        context = QuicReceiveContext(_ONE_RTT, self.host_cid, path, None, now, None)
        try:
            is_ack_eliciting, _ = self._payload_received(context, payload)
        except QuicConnectionError as error:
            self.close(
                error_code=error.error_code,
                frame_type=error.frame_type,
                reason_phrase=error.reason_phrase,
            )
            return
        if self._state is not QuicConnectionState.CONNECTED or self._close_pending:
            return
        self._close_at = now + self._idle_timeout()
        self._ack_eliciting_sent_since_receipt = False
        _record(space, number, now)
        if is_ack_eliciting and space.ack_at is None:
            space.ack_at = now + self._ack_delay

    # Sending.

    @property
    def has_output(self) -> bool:
        """Whether a stream has something to send."""
        for stream in self._streams_queue:
            sender = stream.sender
            if not sender.buffer_is_empty or sender.reset_pending or stream.receiver.stop_pending:
                return True
        return False

    @property
    def has_news(self) -> bool:
        """Whether the client should hear of windows or of streams that it may open."""
        return (
            self._owes_window
            or _is_due(self._local_max_streams_bidi)
            or _is_due(self._local_max_streams_uni)
        )

    def is_usual(self, path: QuicNetworkPath) -> bool:
        """Whether there can be nothing to send but acknowledgements, windows and streams."""
        return not (
            not self._handshake_confirmed
            or not path.is_validated
            or len(self._network_paths) > 1
            or self._close_pending
            or self._probe_pending
            or self._ping_pending
            or self._handshake_done_pending
            or self._retire_connection_ids
            or path.remote_challenges
            or self._datagrams_pending
            or self._streams_blocked_pending
            or not self._crypto_streams[_ONE_RTT].sender.buffer_is_empty
            or not all(connection_id.was_sent for connection_id in self._host_cids)
        )

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        if not self.is_usual(network_path):
            super()._write_application(builder, network_path, now)
            return
        space, crypto = self._spaces[_ONE_RTT], self._cryptos[_ONE_RTT]
        while True:
            is_ack_due = space.ack_at is not None and space.ack_at <= now
            if not is_ack_due:
                if not (self.has_output or self.has_news):
                    return
                self._pacing_at = self._loss._pacer.next_send_time(now=now)  # noqa: SLF001
                if self._pacing_at is not None:
                    return
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            if is_ack_due:
                self._write_ack_frame(builder=builder, space=space, now=now)
            if self.has_news:
                self._write_connection_limits(builder=builder, space=space)
                for stream in self._streams.values():
                    self._write_stream_limits(builder=builder, space=space, stream=stream)
                self._owes_window = False
            self._write_streams(builder, space)
            if builder.packet_is_empty:
                return
            self._loss._pacer.update_after_send(now=now)  # noqa: SLF001

    def _write_streams(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        """Fill a packet from the streams in turn; forget those that are over."""
        waiting: list[QuicStream] = []
        served: list[QuicStream] = []
        queue = iter(self._streams_queue)
        try:
            for stream in queue:
                sender = stream.sender
                if sender.is_finished and stream.receiver.is_finished:
                    self._discard(stream)
                    continue
                waiting.append(stream)
                if stream.receiver.stop_pending:
                    self._write_stop_sending_frame(builder=builder, stream=stream)
                if sender.reset_pending:
                    self._write_reset_stream_frame(builder=builder, stream=stream)
                elif not sender.buffer_is_empty and self._write_some(builder, space, stream):
                    served.append(waiting.pop())
                    if builder.remaining_flight_space < _NO_ROOM:
                        break
        finally:
            self._streams_queue = [*waiting, *queue, *served]

    def _write_some(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> bool:
        sender = stream.sender
        room = self._remote_max_data - self._remote_max_data_used
        used: int = self._write_stream_frame(
            builder=builder,
            space=space,
            stream=stream,
            max_offset=min(sender.highest_offset + room, stream.max_stream_data_remote),
        )
        self._remote_max_data_used += used
        if not (sender._pending_eof or len(sender._pending)):  # noqa: SLF001 - all of it is on its way
            sender.buffer_is_empty = True
        return used > 0

    def _discard(self, stream: QuicStream) -> None:
        stream_id = stream.stream_id or 0
        del self._streams[stream_id]
        if stream_is_client_initiated(stream_id):
            self._stream_limit(stream_id).value += 1  # RFC 9000 §4.6


def _is_due(limit: Limit) -> bool:
    """Whether aioquic would announce a raised limit on streams now, or again."""
    return bool(limit.value != limit.sent and limit.sent - limit.used < limit.value - limit.sent)


def _record(space: QuicPacketSpace, number: int, now: float) -> None:
    """Note a packet for acknowledgements and against duplicates."""
    if number > space.largest_received_packet:
        space.largest_received_packet = number
        space.largest_received_time = now
    space.ack_queue.add(number)
    space.received_packets.add(number)
    if len(space.ack_queue) > MAX_ACK_RANGES:
        space.ack_queue.shift()
