"""What a QUIC connection does nearly always, in fewer steps than aioquic, which does all the rest.

The usual case: the handshake is over, the peer is where it was, a packet has a short header, and
there is nothing to send but acknowledgements, windows and streams. Both methods look at the state
first and leave whatever is not usual to aioquic; what they do themselves is what it would have done.
They know its insides: its version is pinned, and the tests run both ways.
"""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic._crypto import CryptoError
from aioquic.quic import connection as quic_connection
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
from aioquic.quic.packet_builder import QuicPacketBuilder, QuicPacketBuilderStop
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace
from aioquic.quic.stream import QuicStream

from quantum.wire.quic.pacing import Pacer
from quantum.wire.quic.packets import NO_ROOM, PacketWriter

ID_LENGTH = 8
"""Bytes of our connection ids (aioquic's default)."""

MAX_CRYPTO_BYTES = 64 * 1024
"""Bytes of handshake messages that may wait for others to come before them: aioquic's half a mebibyte
for each peer that has proved nothing would fill a machine. A hello with keys of any kind is a tenth."""
quic_connection.MAX_PENDING_CRYPTO = MAX_CRYPTO_BYTES


_ONE_RTT = tls.Epoch.ONE_RTT
_SHORT_HEADER, _FIXED_BITS, _RESERVED = 0x40, 0xC0, 0x18


class _Quiet:
    """A logger for what aioquic says of every stream, at a level that nobody turns on."""

    def debug(self, *_: object) -> None:
        """Say nothing."""

    info = warning = error = debug


class UsualConnection(QuicConnection):
    """A connection, of a server or a client, with two short cuts."""

    _owes_window = False
    """Whether the peer should hear of a larger window."""

    def __init__(self, **arguments: Any) -> None:
        """``arguments`` are QuicConnection's."""
        super().__init__(**arguments)
        self._logger = _Quiet()  # type: ignore[assignment]
        self._loss._pacer = Pacer(max_datagram_size=self._max_datagram_size)  # noqa: SLF001

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
            if self._is_client:  # a server that has forgotten us may say so (RFC 9000 §10.3)
                super().receive_datagram(data, addr, now)
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
            if sender.reset_pending or stream.receiver.stop_pending:
                return True
            if not (sender.buffer_is_empty or stream.is_blocked):
                return True
        return False

    @property
    def has_news(self) -> bool:
        """Whether the peer should hear of windows or of streams that it may open."""
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
            or self._cryptos[_ONE_RTT]._update_key_requested  # noqa: SLF001
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
        while self._has_seldom(space) and self._write_seldom(builder, space, now):
            pass
        writer = PacketWriter(builder, crypto)
        while self._write_packet(writer, space, now):
            self._loss._pacer.update_after_send(now=now)  # noqa: SLF001
        writer.seal()

    def _has_seldom(self, space: QuicPacketSpace) -> bool:
        """Whether there is something that aioquic writes: windows, resets, what arrived with gaps."""
        is_cut = self._forget_finished()
        return is_cut or len(space.ack_queue) > 1 or self.has_news

    def _forget_finished(self) -> bool:
        """Forget streams that are over; whether another one has a reset or a STOP_SENDING to send."""
        is_cut, over = False, []
        for stream in self._streams_queue:
            sender, receiver = stream.sender, stream.receiver
            if sender.is_finished and receiver.is_finished:
                over.append(stream)
            elif sender.reset_pending or receiver.stop_pending:
                is_cut = True
        if over:
            for stream in over:
                self._discard(stream)
            streams = self._streams
            self._streams_queue = [s for s in self._streams_queue if s.stream_id in streams]
        return is_cut

    def _may_send(self, now: float) -> bool:
        """Whether there is something besides an acknowledgement, and the pacer lets it go."""
        if not (self.has_output or self.has_news):
            return False
        self._pacing_at = self._loss._pacer.next_send_time(now=now)  # noqa: SLF001
        return self._pacing_at is None

    def _write_seldom(self, builder: QuicPacketBuilder, space: QuicPacketSpace, now: float) -> bool:
        """Let aioquic write a packet of what is seldom; whether there is one, and perhaps another to come."""
        is_ack_due = space.ack_at is not None and space.ack_at <= now
        if not is_ack_due and not self._may_send(now):
            return False
        builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[_ONE_RTT])
        is_full = False
        try:
            self._write_frames(builder, space, now, is_ack_due=is_ack_due)
        except QuicPacketBuilderStop:
            is_full = not builder.packet_is_empty
        if not builder.packet_is_empty:
            self._loss._pacer.update_after_send(now=now)  # noqa: SLF001
        builder._end_packet()  # noqa: SLF001 - the writer's packets go behind it
        return is_full

    def _write_frames(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, now: float, *, is_ack_due: bool
    ) -> None:
        if is_ack_due:
            self._write_ack_frame(builder=builder, space=space, now=now)
        if self.has_news:
            self._write_connection_limits(builder=builder, space=space)
            for stream in self._streams.values():
                self._write_stream_limits(builder=builder, space=space, stream=stream)
            self._owes_window = False
        for stream in self._streams_queue:
            if stream.receiver.stop_pending:
                self._write_stop_sending_frame(builder=builder, stream=stream)
            if stream.sender.reset_pending:
                self._write_reset_stream_frame(builder=builder, stream=stream)

    def _write_packet(self, writer: PacketWriter, space: QuicPacketSpace, now: float) -> bool:
        """Write a packet; False: there is nothing to write, or it may not leave yet."""
        is_ack_due = space.ack_at is not None and space.ack_at <= now
        if not is_ack_due and not self._may_send(now):
            return False
        writer.begin()
        if is_ack_due:
            delay = int((now - (space.largest_received_time or now)) * 1_000_000)
            delay >>= self._local_ack_delay_exponent
            writer.acknowledge(space, delay, self._on_ack_delivery)
        if writer.room > NO_ROOM:
            self._fill(writer)
        return writer.end()

    def _fill(self, writer: PacketWriter) -> None:
        """Fill a packet from the streams in turn."""
        waiting: list[QuicStream] = []
        served: list[QuicStream] = []
        queue = iter(self._streams_queue)
        for stream in queue:
            sender = stream.sender
            if sender.buffer_is_empty or stream.is_blocked or sender.reset_pending:
                waiting.append(stream)
                continue
            unused = self._remote_max_data - self._remote_max_data_used
            most = min(sender.highest_offset + unused, stream.max_stream_data_remote)
            is_served, moved = writer.add(stream, most)
            self._remote_max_data_used += moved
            if not (sender._pending_eof or len(sender._pending)):  # noqa: SLF001 - all is on its way
                sender.buffer_is_empty = True
            (served if is_served else waiting).append(stream)
            if writer.room < NO_ROOM:
                break
        self._streams_queue = [*waiting, *queue, *served]

    def _discard(self, stream: QuicStream) -> None:
        stream_id = stream.stream_id or 0
        del self._streams[stream_id]
        if stream_is_client_initiated(stream_id) != self._is_client:
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
