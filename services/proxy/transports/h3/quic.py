"""QUIC as a client, and what aioquic's HTTP/3 does not tell."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from aioquic.h3.connection import FrameType, H3Connection, H3Stream
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from quantum.net.client_tls import ClientTls, PeerTrust, trusted_roots
from quantum.wire.quic.windows import ReadPacedConnection

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


class ClientQuic(ReadPacedConnection):
    """One client connection."""

    @property
    def has_room(self) -> bool:
        """Whether the peer lets another stream be opened."""
        return bool(self.get_next_available_stream_id() // 4 < self._remote_max_streams_bidi)


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
