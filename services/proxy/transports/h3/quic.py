"""QUIC as a client: window is given back as bodies are read (aioquic doubles it as bytes arrive, read or not)."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from aioquic.h3.connection import FrameType, H3Connection, H3Stream
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from quantum.net.client_tls import ClientTls, PeerTrust, trusted_roots

STREAM_WINDOW = 256 * 1024
"""Bytes an upstream may send on a stream before they are read: as over HTTP/2."""
CONNECTION_WINDOW = 16 * 1024 * 1024
"""The same for all streams of a connection together."""
MAX_SILENCE = 30.0
"""Seconds without a packet after which a peer is taken for dead; requests under way keep pinging."""


def client_configuration(
    config: ClientTls, trust: PeerTrust, idle_timeout: float
) -> QuicConfiguration:
    """Return what all connections of a transport share; OSError or ValueError when files cannot be used."""
    made = QuicConfiguration(
        alpn_protocols=["h3"],
        is_client=True,
        idle_timeout=min(idle_timeout, MAX_SILENCE),
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
        verify_mode=ssl.CERT_NONE if config.insecure_skip_verify else ssl.CERT_REQUIRED,
    )
    roots = trusted_roots(config, trust)
    if roots.pem:
        made.cadata = roots.pem.encode()
    if roots.system:
        system = ssl.get_default_verify_paths()
        made.cafile, made.capath = system.cafile, system.capath
    if config.client_certificate_file:
        made.load_cert_chain(config.client_certificate_file, config.client_certificate_key_file)
    return made


class ClientQuic(QuicConnection):
    """One client connection."""

    def __init__(self, configuration: QuicConfiguration) -> None:
        super().__init__(configuration=configuration)
        self._consumed: dict[int, int] = {}
        self.held = 0
        """Bytes that were delivered and not read yet; what never is delivered (a reset) is not among them."""

    @property
    def has_room(self) -> bool:
        """Whether the peer lets another stream be opened."""
        return bool(self.get_next_available_stream_id() // 4 < self._remote_max_streams_bidi)

    def arrived(self, stream_id: int, count: int) -> None:
        """Hear of bytes of a stream: what of them is not ``delivered`` is framing, and read herewith."""
        self._consumed[stream_id] = self._consumed.get(stream_id, 0) + count

    def delivered(self, stream_id: int, count: int) -> None:
        """Hear that a reader has bytes now; it gives them back by ``consumed``."""
        self._consumed[stream_id] = self._consumed.get(stream_id, 0) - count
        self.held += count

    def consumed(self, stream_id: int, count: int) -> bool:
        """Give window back for bytes that were read; True when the peer should hear of it now."""
        self.held -= count
        read = self._consumed[stream_id] = self._consumed.get(stream_id, 0) + count
        stream = self._streams.get(stream_id)
        behind = 0
        if stream is not None:
            behind = read + STREAM_WINDOW - stream.max_stream_data_local_sent
        total = self._total_wanted() - self._local_max_data.sent
        return behind * 2 >= STREAM_WINDOW or total * 2 >= CONNECTION_WINDOW

    def _total_wanted(self) -> int:
        return int(self._local_max_data.used) - self.held + CONNECTION_WINDOW

    def forget(self, stream_id: int) -> None:
        """Drop what is remembered of a stream that is over."""
        self._consumed.pop(stream_id, None)

    def unsent(self, stream_id: int) -> int:
        """Return the bytes of a stream that were written and not yet acknowledged."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        return int(stream.sender._buffer_stop - stream.sender._buffer_start)  # noqa: SLF001 - it tells nobody

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if not stream.max_stream_data_local:
            return
        wanted = self._consumed.get(stream.stream_id or 0, 0) + STREAM_WINDOW
        if (wanted - stream.max_stream_data_local_sent) * 2 >= STREAM_WINDOW:
            stream.max_stream_data_local = wanted
        highest, stream.receiver.highest_offset = stream.receiver.highest_offset, 0
        try:  # its own rule finds nothing to raise
            super()._write_stream_limits(builder, space, stream)
        finally:
            stream.receiver.highest_offset = highest

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit = self._local_max_data
        wanted = self._total_wanted()
        if (wanted - limit.sent) * 2 >= CONNECTION_WINDOW:
            limit.value = wanted
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used


class Http3(H3Connection):
    """aioquic's HTTP/3, which does not tell of GOAWAY and knows no HEAD: lengths are checked by the streams."""

    def __init__(self, quic: QuicConnection, on_goaway: Callable[[], None]) -> None:
        self._on_goaway = on_goaway
        super().__init__(quic)

    def _init_connection(self) -> None:
        self._max_push_id = None  # nothing may be pushed
        super()._init_connection()

    @property
    def is_broken(self) -> bool:
        """Whether the peer broke the protocol, and the connection is being closed for it."""
        return bool(self._is_done)

    @property
    def takes_extended_connect(self) -> bool:
        """Whether the peer said so (RFC 9220)."""
        return bool((self.received_settings or {}).get(0x8))

    def waiting(self, stream_id: int) -> int:
        """Return the bytes of a stream that wait for the rest of a head."""
        stream = self._stream.get(stream_id)
        return 0 if stream is None else len(stream.buffer)

    def _check_control_frame_type(self, frame_type: int) -> None:
        super()._check_control_frame_type(frame_type)
        if frame_type == FrameType.GOAWAY:
            self._on_goaway()

    def _check_content_length(self, stream: H3Stream) -> None:
        """Leave it to ``ClientStream``."""
