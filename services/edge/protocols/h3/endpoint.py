"""A UDP port that serves HTTP/3: from datagrams to connections.

A client that has proved nothing costs little: unknown versions are answered without state, and when
many handshakes are unfinished newcomers must first return a token sent to their address (Retry,
RFC 9000 §8.1), so that forged addresses cannot fill the table.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from aioquic._buffer import Buffer
from aioquic.h3.connection import ErrorCode
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from quantum.connection.h2_server import H2Application
from quantum.tasks import TaskSet
from services.edge.protocols.h3.connection import H3ServerConnection
from services.edge.protocols.h3.datagrams import Address, DatagramSocket
from services.edge.protocols.h3.quic import (
    EdgeQuicConnection,
    QuicCertificate,
    Tickets,
    quic_configuration,
)
from services.edge.protocols.pace import LOOK_SECONDS, Pace

HALF_OPEN_LIMIT = 256
"""Unfinished handshakes from which newcomers must prove their address first."""

CONNECTION_LIMIT = 10_000
"""Connections of one endpoint; above it newcomers are not answered."""

HANDSHAKE_SECONDS = 10.0
"""For a handshake, from the first datagram to the last: as over TCP."""

_log = structlog.get_logger("quantum.edge.h3")


@dataclass(frozen=True)
class H3Settings:
    """What connections obey: bytes of a head, seconds of silence, whether 0-RTT is taken, how slow one may be."""

    field_bytes: int
    idle_timeout: float
    allows_early: bool = True
    read: Pace = field(default_factory=Pace)
    write: Pace = field(default_factory=Pace)
    look: float = LOOK_SECONDS
    """Seconds between two looks at every connection."""


class H3Host(Protocol):
    """What an endpoint asks of the entrypoint it serves."""

    def settings(self) -> H3Settings:
        """Return what a connection that begins now obeys."""

    def find_certificate(self, name: str, local_ip: str) -> QuicCertificate | None:
        """Return the certificate for a server name if it is at hand."""

    async def obtain_certificate(self, name: str, local_ip: str) -> QuicCertificate | None:
        """Fetch it, or find out that there is none."""

    def application(self, connection: H3ServerConnection) -> H2Application:
        """Return what turns heads into messages, for the state the connection is in."""

    def enter(self) -> bool:
        """Admit one connection; False: it is refused, and ``left`` is not called."""

    def left(self) -> None:
        """An admitted connection is gone."""

    def enter_client(self, ip: str) -> bool:
        """Count a connection of a client; False: it has too many. ``leave_client`` follows in both cases."""

    def leave_client(self, ip: str) -> None:
        """A connection of a client is gone."""

    def handshake_failed(self, reason: str) -> None:
        """A handshake did not succeed."""

    def reached(self, limit: str, peer: str) -> None:
        """Something was cut or refused because of a limit; counted by its name, and by the peer's address."""


class H3Endpoint:
    """One UDP socket and its connections."""

    def __init__(
        self, sock: socket.socket, host: H3Host, tasks: TaskSet, loop: asyncio.AbstractEventLoop
    ) -> None:
        """``sock`` is bound; ``tasks`` are those of who closes the endpoint."""
        self.loop = loop
        self.host = host
        self._tasks = tasks
        self._configuration = quic_configuration(0.0)
        self._retry = QuicRetryTokenHandler()
        self._connections: dict[bytes, H3ServerConnection] = {}
        self._touched: set[H3ServerConnection] = set()
        self._tickets = Tickets()
        self._all: set[H3ServerConnection] = set()
        self._half_open: dict[H3ServerConnection, float] = {}
        self._is_draining = False
        self._emptied: asyncio.Future[None] | None = None
        self.socket = DatagramSocket(sock, self._datagram, self._batch_ended, loop)
        self._ticker = loop.call_later(host.settings().look, self._look)

    def __len__(self) -> int:
        return len(self._all)

    def _datagram(self, data: bytes, address: Address) -> None:
        # Short headers carry an id of our own fixed length: the common case needs no parsing.
        if data and not data[0] & 0x80:
            connection = self._connections.get(data[1:9])
        else:
            connection = self._long_header(data, address)
        if connection is not None:
            self._touched.add(connection)
            try:
                connection.receive(data, address)
            except Exception:  # noqa: BLE001 - one connection's defect must not end the others
                _log.exception("h3_connection_failed", peer=connection.peer[0])
                connection.ended()

    def _batch_ended(self) -> None:
        touched, self._touched = self._touched, set()
        for connection in touched:
            if connection in self._half_open:
                self._handshake_moved(connection)
            connection.transmit()

    def _handshake_moved(self, connection: H3ServerConnection) -> None:
        if not connection.quic.is_begun:
            connection.ended()  # its first datagram was no QUIC after all
        elif connection.quic.is_established:
            del self._half_open[connection]
            self._count(connection)
        elif connection.quic.is_waiting and not connection.is_fetching:
            connection.is_fetching = True
            self._tasks.start(self._obtain(connection), "certificate")

    def _count(self, connection: H3ServerConnection) -> None:
        """Count a client by the address that its handshake has proved."""
        connection.counted_as = connection.peer[0]
        if not self.host.enter_client(connection.counted_as):
            connection.close(ErrorCode.H3_EXCESSIVE_LOAD, "too many connections of one client")

    async def _obtain(self, connection: H3ServerConnection) -> None:
        name, certificate = connection.quic.server_name or "", None
        try:
            certificate = await self.host.obtain_certificate(name, connection.local[0])
        finally:
            connection.is_fetching = False
            connection.resume(certificate)

    def _look(self) -> None:
        """Look after every connection, and end handshakes that take too long."""
        settings = self.host.settings()
        self._ticker = self.loop.call_later(settings.look, self._look)
        late = self.loop.time() - HANDSHAKE_SECONDS
        for connection, began in list(self._half_open.items()):
            if began < late:
                self.host.handshake_failed("timeout")
                connection.close(QuicErrorCode.NO_ERROR, "the handshake took too long")
        for connection in list(self._all):
            connection.look(settings.read, settings.write)

    def _long_header(self, data: bytes, address: Address) -> H3ServerConnection | None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        except ValueError:
            return None
        known = self._connections.get(header.destination_cid)
        if known is not None:
            return known
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version not in self._configuration.supported_versions:
            self._negotiate_version(header, data, address)
            return None
        if (
            header.packet_type != QuicPacketType.INITIAL
            or len(data) < SMALLEST_MAX_DATAGRAM_SIZE
            or self._is_draining
            or len(self._all) >= CONNECTION_LIMIT
        ):
            return None
        return self._newcomer(header, address)

    def _negotiate_version(self, header: QuicHeader, data: bytes, address: Address) -> None:
        if header.version is not None and len(data) >= SMALLEST_MAX_DATAGRAM_SIZE:
            packet = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=self._configuration.supported_versions,
            )
            self.socket.send([(packet, address)])

    def _newcomer(self, header: QuicHeader, address: Address) -> H3ServerConnection | None:
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=address,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=self.loop.time(),
                )
                retried = header.destination_cid
            except ValueError:
                if len(self._half_open) >= HALF_OPEN_LIMIT:
                    return None
        elif len(self._half_open) >= HALF_OPEN_LIMIT:
            self._send_retry(header, address)
            return None
        return self._open(header, original, retried) if self.host.enter() else None

    def _send_retry(self, header: QuicHeader, address: Address) -> None:
        source = os.urandom(8)
        token = self._retry.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self.loop.time(),
        )
        packet = encode_quic_retry(
            version=header.version or 0,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.socket.send([(packet, address)])

    def _open(
        self, header: QuicHeader, original: bytes, retried: bytes | None
    ) -> H3ServerConnection:
        settings = self.host.settings()
        connection = H3ServerConnection(self, settings.field_bytes)
        connection.quic = EdgeQuicConnection(
            lambda name: self.host.find_certificate(name, connection.local[0]),
            self._tickets,
            allows_early=settings.allows_early,
            configuration=replace(self._configuration, idle_timeout=settings.idle_timeout),
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        for cid in (header.destination_cid, connection.quic.host_cid):
            self.ids_changed(connection, cid, is_issued=True)
        self._all.add(connection)
        self._half_open[connection] = self.loop.time()
        return connection

    # What connections ask and tell.

    def application_of(self, connection: H3ServerConnection) -> H2Application:
        """Return what turns heads into messages, for the state the connection is in."""
        return self.host.application(connection)

    def ids_changed(self, connection: H3ServerConnection, cid: bytes, *, is_issued: bool) -> None:
        """A connection has one more id of its own, or one less."""
        if is_issued:
            self._connections[cid] = connection
            connection.ids.add(cid)
        else:
            self._connections.pop(cid, None)
            connection.ids.discard(cid)

    def closed(self, connection: H3ServerConnection) -> None:
        """A connection is gone."""
        self._all.discard(connection)
        if self._half_open.pop(connection, None) is not None:
            self.host.handshake_failed("other")
        if connection.counted_as is not None:
            self.host.leave_client(connection.counted_as)
        self.host.left()
        for cid in connection.ids:
            self._connections.pop(cid, None)
        if not self._all and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        self._close_when_empty()

    def reached(self, limit: str, peer: str = "") -> None:
        """Something is cut because of a limit; ``peer``: the address whose connection ends by it."""
        self.host.reached(limit, peer)

    # The end.

    def drain(self) -> None:
        """Refuse newcomers; every connection says GOAWAY and closes when it has finished."""
        self._is_draining = True
        for connection in list(self._all):
            connection.drain()
        self._close_when_empty()

    def _close_when_empty(self) -> None:
        """Leave the port to the kernel, which tells newcomers at once that nobody is there."""
        if self._is_draining and not self._all:
            self.loop.call_soon(self.close)

    async def aclose(self, grace: float) -> int:
        """Drain, wait up to ``grace`` seconds, cut what is left; return how many were cut."""
        self.drain()
        if self._all and grace > 0:
            self._emptied = self.loop.create_future()
            await asyncio.wait([self._emptied], timeout=grace)
        return self.close()

    def close(self) -> int:
        """Close every connection at once, and the socket; return how many there were."""
        cut = len(self._all)
        for connection in list(self._all):
            connection.close(ErrorCode.H3_NO_ERROR)
            connection.transmit()
            connection.ended()
        self._ticker.cancel()
        self.socket.close()
        return cut
