"""Windows that are given back as bodies are read: aioquic doubles them as soon as half has arrived, read or not."""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic.quic.connection import Limit
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from quantum.wire.quic.usual import UsualConnection


class ReadPacedConnection(UsualConnection):
    """A connection whose peer may send what was read, and a window more (the configuration's).

    Every byte that arrives MUST be told as ``consumed`` once, or its stream as ``was_reset``: what nobody
    will ever read counts against the connection's window as well.
    """

    def __init__(self, **arguments: Any) -> None:
        """``arguments`` are QuicConnection's; ``max_data`` and ``max_stream_data`` are the windows."""
        self._consumed: dict[int, int] = {}
        self._consumed_total = 0
        super().__init__(**arguments)
        self._stream_window = int(self._configuration.max_stream_data)
        self._connection_window = int(self._configuration.max_data)

    def consumed(self, stream_id: int, count: int) -> bool:
        """Give ``count`` bytes of window back; True when the peer should hear of it soon.

        A negative ``count`` takes back: those bytes have a reader after all, who will tell.
        """
        self._consumed_total += count
        stream = self._streams.get(stream_id)
        behind = 0
        if stream is None or stream.receiver.is_finished:
            self._consumed.pop(stream_id, None)  # nothing more comes
        else:
            read = self._consumed[stream_id] = self._consumed.get(stream_id, 0) + count
            behind = read + self._stream_window - stream.max_stream_data_local_sent
        total = self._consumed_total + self._connection_window - self._local_max_data.sent
        if behind * 2 >= self._stream_window or total * 2 >= self._connection_window:
            self._owes_window = True
        return self._owes_window

    def was_reset(self, stream_id: int) -> bool:
        """Give window back for what the peer says it sent and nobody will be given; as ``consumed``.

        Bytes that were lost, or wait behind lost ones, count against the connection's window like those
        that arrived: a peer that resets often would be left with none.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        receiver = stream.receiver
        return self.consumed(stream_id, receiver.highest_offset - receiver._buffer_start)  # noqa: SLF001

    def forget(self, stream_id: int) -> None:
        """Drop what is remembered of a stream that is over."""
        self._consumed.pop(stream_id, None)

    def unsent(self, stream_id: int) -> int:
        """Return the bytes of a stream that were written and not yet acknowledged."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        sender = stream.sender
        return int(sender._buffer_stop - sender._buffer_start)  # noqa: SLF001 - aioquic tells nobody

    def acknowledge(self, now: float, *, at_once: bool) -> None:
        """Let the acknowledgement that is due go out with the next packet rather than alone, later.

        ``at_once``: so much was received that it should not wait for a packet (RFC 9000 §13.2.2).
        """
        space = self._spaces.get(tls.Epoch.ONE_RTT)
        if space is not None and space.ack_at is not None and (at_once or self.has_output):
            space.ack_at = min(space.ack_at, now)

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if stream.max_stream_data_local:
            wanted = self._consumed.get(stream.stream_id or 0, 0) + self._stream_window
            held, stream.max_stream_data_local = stream.max_stream_data_local, 0
            if (wanted - stream.max_stream_data_local_sent) * 2 >= self._stream_window:
                held = wanted
            stream.max_stream_data_local = held
            if held != stream.max_stream_data_local_sent:
                self._announce(builder, space, stream)

    def _announce(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        """Let aioquic write the frame; its own rule for raising finds nothing to do."""
        highest, stream.receiver.highest_offset = stream.receiver.highest_offset, 0
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            stream.receiver.highest_offset = highest

    def _on_connection_limit_delivery(self, delivery: QuicDeliveryState, limit: Limit) -> None:
        super()._on_connection_limit_delivery(delivery, limit)
        self._owes_window |= delivery is QuicDeliveryState.LOST

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        super()._on_max_stream_data_delivery(delivery, stream)
        self._owes_window |= delivery is QuicDeliveryState.LOST

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit = self._local_max_data
        wanted = self._consumed_total + self._connection_window
        if (wanted - limit.sent) * 2 >= self._connection_window:
            limit.value = wanted
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used
