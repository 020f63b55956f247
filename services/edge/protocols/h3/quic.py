"""QUIC connections that give window back as bodies are read, and choose certificates by name.

aioquic doubles a window as soon as half of it has arrived, read or not, and knows one certificate.
Both are decided here instead: credit is what the reader consumed plus a fixed window, and the
certificate is looked up when the ClientHello has said the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic import connection as quic_connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import Limit, QuicConnectionError, QuicConnectionState
from aioquic.quic.packet import QuicErrorCode, QuicFrameType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from services.edge.protocols.h3.usual import UsualConnection

STREAM_WINDOW = 256 * 1024
"""Bytes a client may send on a stream before they are read: a round trip of 20 ms at 100 Mbit/s."""

CONNECTION_WINDOW = 1024 * 1024
"""The same for all streams of a connection together: the memory one client can make us hold."""

MAX_STREAMS = 100
"""Requests a client may have open at a time: as over HTTP/2."""

MAX_CRYPTO_BYTES = 64 * 1024
"""Bytes of handshake messages that may wait for others to come before them: aioquic's half a mebibyte
for each client that has proved nothing would fill a machine. A hello with keys of any kind is a tenth."""
quic_connection.MAX_PENDING_CRYPTO = MAX_CRYPTO_BYTES

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


class EdgeQuicConnection(UsualConnection):
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
        self._consumed: dict[int, int] = {}
        self._consumed_total = 0
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

    def consumed(self, stream_id: int, count: int) -> bool:
        """Give ``count`` bytes of window back; True when the peer should hear of it soon."""
        self._consumed_total += count
        stream = self._streams.get(stream_id)
        behind = 0
        if stream is not None:
            read = self._consumed[stream_id] = self._consumed.get(stream_id, 0) + count
            behind = read + STREAM_WINDOW - stream.max_stream_data_local_sent
        total = self._consumed_total + CONNECTION_WINDOW - self._local_max_data.sent
        if behind * 2 >= STREAM_WINDOW or total * 2 >= CONNECTION_WINDOW:
            self._owes_window = True
        return self._owes_window

    def was_reset(self, stream_id: int) -> bool:
        """Give window back for what the client says it sent and nobody will be given; as ``consumed``.

        Bytes that were lost, or wait behind lost ones, count against the connection's window like those
        that arrived: a client that resets often would be left with none.
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

    @property
    def has_unsent(self) -> bool:
        """Whether any request stream has bytes that the peer did not acknowledge yet."""
        return any(self.unsent(stream_id) for stream_id in self._streams if stream_id % 4 == 0)

    @property
    def acknowledged(self) -> int:
        """Bytes of the streams now open that the peer acknowledged: it moves while the peer reads."""
        return sum(stream.sender._buffer_start for stream in self._streams.values())  # noqa: SLF001

    # Output.

    def acknowledge(self, now: float, *, at_once: bool) -> None:
        """Let the acknowledgement that is due go out with the next packet rather than alone, later.

        ``at_once``: so much was received that it should not wait for a packet (RFC 9000 §13.2.2).
        """
        space = self._spaces.get(tls.Epoch.ONE_RTT)
        if space is not None and space.ack_at is not None and (at_once or self.has_output):
            space.ack_at = min(space.ack_at, now)

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

    # Windows.

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

    def _on_connection_limit_delivery(self, delivery: QuicDeliveryState, limit: Limit) -> None:
        super()._on_connection_limit_delivery(delivery, limit)
        self._owes_window |= delivery is QuicDeliveryState.LOST

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        super()._on_max_stream_data_delivery(delivery, stream)
        self._owes_window |= delivery is QuicDeliveryState.LOST

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
