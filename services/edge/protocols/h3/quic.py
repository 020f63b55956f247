"""QUIC connections of a server, which choose their certificates by name (aioquic knows one)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnectionError, QuicConnectionState
from aioquic.quic.packet import QuicErrorCode, QuicFrameType

from quantum.wire.quic.windows import ReadPacedConnection

STREAM_WINDOW = 256 * 1024
"""Bytes a client may send on a stream before they are read: a round trip of 20 ms at 100 Mbit/s."""

CONNECTION_WINDOW = 1024 * 1024
"""The same for all streams of a connection together: the memory one client can make us hold."""

MAX_STREAMS = 100
"""Requests a client may have open at a time: as over HTTP/2."""

ACK_SECONDS = 0.02
"""How long an acknowledgement may wait for a packet to go along with: below the 25 ms that aioquic
tells clients to expect."""

FEW_STREAMS = 64
"""Streams a client may still open at which it is told of more, though there is nothing else to say."""


@dataclass(frozen=True)
class QuicCertificate:
    """One certificate, parsed once for all handshakes: leaf, intermediates, key (cryptography's types)."""

    leaf: Any
    chain: list[Any]
    key: Any
    key_log: str = ""
    """A file that the secrets of connections are appended to; "" for none."""


def load_certificate(file: Path) -> QuicCertificate:
    """Read a PEM file with a key and a chain; OSError or ValueError when it will not do."""
    data = file.read_bytes()
    leaf, *chain = tls.load_pem_x509_certificates(data[data.index(b"-----BEGIN CERTIFICATE") :])
    return QuicCertificate(leaf, chain, tls.load_pem_private_key(data, None))


@cache
def _key_log(name: str) -> Any:
    """Return the file, open for as long as the process lives: configurations name few."""
    return Path(name).open("a", encoding="ascii")


FindCertificate = Callable[[str], QuicCertificate | None]
"""From the SNI ("" when the client sent none) to a certificate; None: none is at hand."""

TICKETS = 4096
"""Session tickets remembered for resumption; the oldest goes first."""


class UnrecognizedName(tls.Alert):
    """There is no certificate for what was asked (RFC 8446 §6)."""

    description = tls.AlertDescription.unrecognized_name


class Tickets:
    """Session tickets, each good for one resumption, by clients that ask for the same name again."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[tls.SessionTicket, str]] = {}

    def keep(self, ticket: tls.SessionTicket, name: str) -> None:
        """Remember a ticket that was issued on a connection to ``name``."""
        self._kept[ticket.ticket] = ticket, name
        if len(self._kept) > TICKETS:
            del self._kept[next(iter(self._kept))]

    def take(self, identity: bytes, name: str) -> tls.SessionTicket | None:
        """Give a ticket once: early data that comes with it cannot be replayed here."""
        ticket, issued_for = self._kept.pop(identity, (None, ""))
        return ticket if issued_for == name else None


class EdgeQuicConnection(ReadPacedConnection):
    """One server connection.

    ``server_name`` is the SNI once the ClientHello is read, None before. ``is_waiting`` tells that the
    handshake waits for ``resume``: there was no certificate at hand.
    """

    def __init__(
        self,
        find_certificate: FindCertificate,
        tickets: Tickets,
        *,
        allows_early: bool,
        **arguments: Any,
    ) -> None:
        """``allows_early``: requests may come before the handshake is complete (0-RTT)."""
        self.server_name: str | None = None
        self._find_certificate = find_certificate
        self._tickets = tickets
        self._allows_early = allows_early
        self._held_hello: bytes | None = None
        super().__init__(
            session_ticket_fetcher=self._take_ticket,
            session_ticket_handler=self._keep_ticket,
            **arguments,
        )
        self._ack_delay = ACK_SECONDS
        streams = self._local_max_streams_bidi
        streams.value = streams.sent = MAX_STREAMS

    @property
    def is_begun(self) -> bool:
        """Whether a packet could be decrypted at all."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def is_waiting(self) -> bool:
        """Whether the handshake waits for a certificate."""
        return self._held_hello is not None

    @property
    def is_established(self) -> bool:
        """Whether the handshake is complete; what comes before is early data."""
        return bool(self._handshake_complete)

    @property
    def path(self) -> tuple[Any, bool]:
        """Return the peer's address in use, and whether the peer proved that it is there."""
        path = self._network_paths[0]
        return path.addr, path.is_validated

    @property
    def cipher(self) -> str:
        """The cipher suite's name, as OpenSSL writes it."""
        schedule = self.tls.key_schedule
        return f"TLS_{schedule.cipher_suite.name}" if schedule is not None else ""

    @property
    def is_resumed(self) -> bool:
        """Whether the session was resumed with a ticket."""
        return bool(self.tls.session_resumed)

    @property
    def has_unsent(self) -> bool:
        """Whether any request stream has bytes that the peer did not acknowledge yet."""
        return any(self.unsent(stream_id) for stream_id in self._streams if stream_id % 4 == 0)

    @property
    def acknowledged(self) -> int:
        """Bytes of the streams now open that the peer acknowledged: it moves while the peer reads."""
        return sum(stream.sender._buffer_start for stream in self._streams.values())  # noqa: SLF001

    # Output.

    def is_quiet(self, now: float) -> bool:
        """Whether ``datagrams_to_send`` would surely find nothing to send, as after a mere ACK."""
        path = self._network_paths[0]
        ack_at = self._spaces[tls.Epoch.ONE_RTT].ack_at if self._handshake_confirmed else 0.0
        return (
            (ack_at is None or ack_at > now)
            and self._pacing_at is None
            and self.is_usual(path)
            and not self.has_news
            and self._local_max_streams_bidi.sent - self._local_max_streams_bidi.used > FEW_STREAMS
            and not self.has_output
        )

    # The handshake.

    def resume(self, certificate: QuicCertificate | None) -> None:
        """Go on with a handshake that waited; without a certificate it ends in an alert."""
        hello, self._held_hello = self._held_hello, None
        if hello is None or self._close_pending:
            return
        try:
            if certificate is None:
                raise UnrecognizedName("no certificate for this name")
            self._find_certificate = lambda _: certificate
            self.tls.handle_message(hello, self._crypto_buffers)
            self._push_crypto_data()
        except tls.Alert as alert:
            code = QuicErrorCode.CRYPTO_ERROR + int(alert.description)
            self.close(error_code=code, frame_type=QuicFrameType.CRYPTO, reason_phrase=str(alert))
        except QuicConnectionError as error:
            self.close(
                error_code=error.error_code,
                frame_type=error.frame_type,
                reason_phrase=error.reason_phrase,
            )

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context = self.tls
        proceed = context._server_handle_hello  # noqa: SLF001 - there is no callback for the SNI
        if not self._allows_early:
            context._max_early_data = None  # noqa: SLF001 - a parameter of what super() calls

        def handle_hello(hello: Buffer, initial: Buffer, handshake: Buffer) -> None:
            if self._read_hello(hello.data_slice(0, hello.capacity)):
                proceed(hello, initial, handshake)
            else:
                hello.seek(hello.capacity)  # it is taken, for ``resume``

        setattr(context, "_server_handle_hello", handle_hello)  # noqa: B010

    def _read_hello(self, data: bytes) -> bool:
        """Choose the certificate; False: there is none yet, and the hello is held."""
        hello = tls.pull_client_hello(Buffer(data=data))
        name = (hello.server_name or "").lower().removesuffix(".")
        self.server_name = name
        chosen = self._find_certificate(name)
        if chosen is None:
            self._held_hello = data
            return False
        self.tls.certificate = chosen.leaf
        self.tls.certificate_chain = chosen.chain
        self.tls.certificate_private_key = chosen.key
        if chosen.key_log:
            self._configuration.secrets_log_file = _key_log(chosen.key_log)
        if hello.early_data and not self._allows_early:
            self.tls.get_session_ticket_cb = None
        return True

    def _take_ticket(self, identity: bytes) -> tls.SessionTicket | None:
        return self._tickets.take(identity, self.server_name or "")

    def _keep_ticket(self, ticket: tls.SessionTicket) -> None:
        self._tickets.keep(ticket, self.server_name or "")


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
