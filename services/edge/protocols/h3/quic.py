"""QUIC connections that give window back as bodies are read, and choose certificates by name.

aioquic doubles a window as soon as half of it has arrived, read or not, and knows one certificate.
Both are decided here instead: credit is what the reader consumed plus a fixed window, and the
certificate is looked up when the ClientHello has said the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

STREAM_WINDOW = 256 * 1024
"""Bytes a client may send on a stream before they are read: a round trip of 20 ms at 100 Mbit/s."""

CONNECTION_WINDOW = 1024 * 1024
"""The same for all streams of a connection together: the memory one client can make us hold."""


@dataclass(frozen=True)
class QuicCertificate:
    """One certificate, parsed once for all handshakes: leaf, intermediates, key (cryptography's types)."""

    leaf: Any
    chain: list[Any]
    key: Any


ChooseCertificate = Callable[[str | None], QuicCertificate | None]
"""From the SNI (None when the client sent none) to a certificate; None ends the handshake."""


class EdgeQuicConnection(QuicConnection):
    """One server connection. ``server_name`` is the SNI once the ClientHello is read."""

    def __init__(self, choose_certificate: ChooseCertificate, **arguments: Any) -> None:
        self.server_name: str | None = None
        self._choose_certificate = choose_certificate
        self._consumed: dict[int, int] = {}
        self._consumed_total = 0
        super().__init__(**arguments)

    def consumed(self, stream_id: int, count: int) -> bool:
        """Give ``count`` bytes of window back; True when the peer should hear of it soon."""
        self._consumed_total += count
        stream = self._streams.get(stream_id)
        behind = 0
        if stream is not None:
            read = self._consumed[stream_id] = self._consumed.get(stream_id, 0) + count
            behind = read + STREAM_WINDOW - stream.max_stream_data_local_sent
        total = self._consumed_total + CONNECTION_WINDOW - self._local_max_data.sent
        return behind * 2 >= STREAM_WINDOW or total * 2 >= CONNECTION_WINDOW

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

    @property
    def has_unsent(self) -> bool:
        """Whether any request stream has bytes that the peer did not acknowledge yet."""
        return any(self.unsent(stream_id) for stream_id in self._streams if stream_id % 4 == 0)

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        proceed = self.tls._server_handle_hello  # noqa: SLF001 - there is no callback for the SNI

        def with_certificate(hello_buf: Buffer, initial: Buffer, handshake: Buffer) -> None:
            hello = tls.pull_client_hello(Buffer(data=hello_buf.data_slice(0, hello_buf.capacity)))
            self._take_certificate(hello.server_name)
            proceed(hello_buf, initial, handshake)

        setattr(self.tls, "_server_handle_hello", with_certificate)  # noqa: B010

    def _take_certificate(self, name: str | None) -> None:
        self.server_name = name
        chosen = self._choose_certificate(name)
        if chosen is None:
            raise tls.AlertHandshakeFailure("no certificate for this name")
        self.tls.certificate = chosen.leaf
        self.tls.certificate_chain = chosen.chain
        self.tls.certificate_private_key = chosen.key

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if stream.max_stream_data_local:
            wanted = self._consumed.get(stream.stream_id or 0, 0) + STREAM_WINDOW
            held, stream.max_stream_data_local = stream.max_stream_data_local, 0
            if (wanted - stream.max_stream_data_local_sent) * 2 >= STREAM_WINDOW:
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

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit = self._local_max_data
        wanted = self._consumed_total + CONNECTION_WINDOW
        if (wanted - limit.sent) * 2 >= CONNECTION_WINDOW:
            limit.value = wanted
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used


def quic_configuration(idle_timeout: float) -> QuicConfiguration:
    """Return what all connections share. ``idle_timeout`` in seconds."""
    later = object()  # aioquic insists on a certificate now; the name that chooses it comes later
    return QuicConfiguration(
        alpn_protocols=["h3"],
        is_client=False,
        idle_timeout=idle_timeout,
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
        max_datagram_size=1350,
        certificate=later,
        private_key=later,
    )
