"""Packets of the usual kind, written in one go: a short header, an acknowledgement, pieces of streams.

What aioquic's builder does by a buffer that is filled, cut up, encrypted and filled again is put together
once here. The packets go to the builder's lists as if it had made them, for flow control, congestion
control and recovery to be aioquic's.
"""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import PACKET_FIXED_BIT, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder, QuicSentPacket
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream, QuicStreamSender

NO_ROOM = 32
"""Bytes left in a packet at which no stream is begun in it any more."""
TAG = 16
"""Bytes that every cipher of QUIC adds to a payload (RFC 9001 §5.3)."""
_ACK, _STREAM, _OFFSET, _LENGTH, _FIN = 0x02, 0x08, 0x04, 0x02, 0x01
_NUMBER_BYTES = 2
_SAMPLE = slice(4 - _NUMBER_BYTES, 20 - _NUMBER_BYTES)
"""Where header protection takes its sample from, in the protected payload (RFC 9001 §5.4.2)."""
_AT_LEAST = 4 - _NUMBER_BYTES
"""Bytes of a payload at least, so that there is a sample."""


def encode_integer(value: int) -> bytes:
    """Return a variable-length integer (RFC 9000 §16)."""
    if value < 64:
        return bytes((value,))
    if value < 16384:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 1 << 30:
        return (value | 0x80000000).to_bytes(4, "big")
    return (value | 0xC000000000000000).to_bytes(8, "big")


class PacketWriter:
    """Makes the packets of one call of ``datagrams_to_send``; ``seal`` MUST end it."""

    __slots__ = (
        "_aead", "_builder", "_cid", "_first", "_made", "_overhead", "_parts", "_protection",
        "packet", "room",
    )  # fmt: skip

    def __init__(self, builder: QuicPacketBuilder, crypto: CryptoPair) -> None:
        assert crypto.send.aead is not None and crypto.send.hp is not None  # noqa: PT018
        self._builder = builder
        self._aead, self._protection = crypto.send.aead, crypto.send.hp
        self._cid: bytes = builder._peer_cid  # noqa: SLF001 - as everything here
        self._overhead = 1 + len(self._cid) + _NUMBER_BYTES + TAG
        self._first = (
            PACKET_FIXED_BIT
            | (builder._spin_bit << 5)  # noqa: SLF001
            | (crypto.key_phase << 2)
            | (_NUMBER_BYTES - 1)
        )
        self._made: list[tuple[int, bytes]] = []
        self._parts: list[bytes | bytearray] = []
        self.packet: QuicSentPacket
        self.room = 0
        """Bytes that still fit into the packet, within the congestion window."""

    def begin(self) -> None:
        """Begin a packet."""
        builder = self._builder
        most = builder._buffer_capacity  # noqa: SLF001
        if builder.max_flight_bytes is not None:
            most = min(most, builder.max_flight_bytes - builder._flight_bytes)  # noqa: SLF001
        self.room = most - self._overhead
        self._parts = []
        self.packet = QuicSentPacket(
            tls.Epoch.ONE_RTT,
            in_flight=False,
            is_ack_eliciting=False,
            is_crypto_packet=False,
            packet_number=builder._packet_number,  # noqa: SLF001
            packet_type=QuicPacketType.ONE_RTT,
        )

    def acknowledge(self, space: QuicPacketSpace, delay: int, on_delivery: Any) -> None:
        """Add an ACK of one range (RFC 9000 §19.3); it is not bound by the congestion window."""
        known = space.ack_queue[-1]
        largest = known.stop - 1
        frame = b"".join((
            b"\x02", encode_integer(largest), encode_integer(delay), b"\0",
            encode_integer(largest - known.start),
        ))  # fmt: skip
        self._parts.append(frame)
        self.room -= len(frame)
        self.packet.delivery_handlers.append((on_delivery, (space, space.largest_received_packet)))
        space.ack_at = None

    def add(self, stream: QuicStream, max_offset: int) -> tuple[bool, int]:
        """Add what fits of a stream's bytes, up to ``max_offset``.

        Returns whether that is anything, and by how many bytes the stream has never sent.
        """
        sender = stream.sender
        pending = sender._pending  # noqa: SLF001
        has_bytes = len(pending) > 0
        start = pending[0].start if has_bytes else sender._buffer_stop  # noqa: SLF001
        head = encode_integer(stream.stream_id or 0)
        if start:
            head += encode_integer(start)
        room = self.room - len(head) - 3  # the kind, and two bytes of length
        stop = start
        if has_bytes:
            stop = min(pending[0].stop, start + room, max_offset)
            if stop <= start:
                return False, 0
            pending.subtract(start, stop)
        elif room < 0 or not sender._pending_eof:  # noqa: SLF001
            return False, 0
        moved = max(0, stop - sender.highest_offset)
        sender.highest_offset += moved
        is_last = sender._buffer_fin == stop  # noqa: SLF001
        if is_last:
            sender._pending_eof = False  # noqa: SLF001
        kind = _STREAM | _LENGTH | (_OFFSET if start else 0) | is_last
        self._put(kind, head, sender, start, stop)
        return True, moved

    def _put(self, kind: int, head: bytes, sender: QuicStreamSender, start: int, stop: int) -> None:
        size = stop - start
        self._parts.append(bytes((kind,)) + head + (size | 0x4000).to_bytes(2, "big"))
        if size:
            at = start - sender._buffer_start  # noqa: SLF001
            self._parts.append(sender._buffer[at : at + size])  # noqa: SLF001
        self.room -= len(head) + 3 + size
        packet = self.packet
        packet.in_flight = packet.is_ack_eliciting = True
        handled = sender.on_data_delivery, (start, stop, bool(kind & _FIN))
        packet.delivery_handlers.append(handled)

    def end(self) -> bool:
        """Encrypt the packet; False: there was nothing to be said."""
        payload = b"".join(self._parts)
        if not payload:
            return False
        builder, number = self._builder, self.packet.packet_number
        payload = payload.ljust(_AT_LEAST, b"\0")
        header = self._header(self._first, number & 0xFFFF)
        protected = self._aead.encrypt(payload, header, number)
        self._made.append((number & 0xFFFF, protected))
        packet = self.packet
        packet.sent_bytes = len(header) + len(protected)
        builder._packets.append(packet)  # noqa: SLF001
        builder._packet_number += 1  # noqa: SLF001
        builder._total_bytes += packet.sent_bytes  # noqa: SLF001
        if packet.in_flight:
            builder._flight_bytes += packet.sent_bytes  # noqa: SLF001
        return True

    def _header(self, first: int, number: int) -> bytes:
        return bytes((first,)) + self._cid + number.to_bytes(_NUMBER_BYTES, "big")

    def seal(self) -> None:
        """Protect the headers of all packets and give them to the builder."""
        made, self._made = self._made, []
        if not made:
            return
        protection = self._protection
        samples = [protected[_SAMPLE] for _, protected in made]
        if protection._is_chacha20:  # noqa: SLF001
            masks = [protection._mask(sample) for sample in samples]  # noqa: SLF001
        else:  # blocks of AES by themselves: one call for all of them
            joined = protection._mask(b"".join(samples))  # noqa: SLF001
            masks = [joined[at : at + 16] for at in range(0, len(joined), 16)]
        first, datagrams = self._first, self._builder._datagrams  # noqa: SLF001
        for (number, protected), mask in zip(made, masks, strict=True):
            header = self._header(first ^ (mask[0] & 0x1F), number ^ (mask[1] << 8 | mask[2]))
            datagrams.append(header + protected)
