"""A UDP port that serves HTTP/3: from datagrams to connections.

A client that has proved nothing costs little: unknown versions are answered without state, and when
many handshakes are unfinished newcomers must first return a token sent to their address (Retry,
RFC 9000 §8.1), so that forged addresses cannot fill the table.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import structlog
from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import SessionTicket

from quantum.connection.h2_server import H2Application
from services.edge.protocols.h3.connection import H3ServerConnection
from services.edge.protocols.h3.datagrams import Address, DatagramSocket
from services.edge.protocols.h3.quic import (
    ChooseCertificate,
    EdgeQuicConnection,
    quic_configuration,
)

HALF_OPEN_LIMIT = 256
"""Unfinished handshakes from which newcomers must prove their address first."""

CONNECTION_LIMIT = 10_000
"""Connections of one endpoint; above it newcomers are not answered."""

TICKETS = 4096
"""Session tickets remembered for resumption; the oldest goes first."""

_log = structlog.get_logger("quantum.edge.h3")


class H3Endpoint:
    """One UDP socket and its connections."""

    def __init__(
        self,
        sock: socket.socket,
        choose_certificate: ChooseCertificate,
        make_application: Callable[[H3ServerConnection], H2Application],
        *,
        field_bytes: int,
        idle_timeout: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``sock`` is bound; ``make_application`` is asked once per connection, after its handshake."""
        self._loop = loop
        self._choose_certificate = choose_certificate
        self._make_application = make_application
        self._field_bytes = field_bytes
        self._configuration = quic_configuration(idle_timeout)
        self._retry = QuicRetryTokenHandler()
        self._connections: dict[bytes, H3ServerConnection] = {}
        self._touched: set[H3ServerConnection] = set()
        self._tickets: dict[bytes, SessionTicket] = {}
        self._all: set[H3ServerConnection] = set()
        self._half_open: set[H3ServerConnection] = set()
        self._is_draining = False
        self._emptied: asyncio.Future[None] | None = None
        self._socket = DatagramSocket(sock, self._datagram, self._batch_ended, loop)

    def __len__(self) -> int:
        return len(self._all)

    def _datagram(self, data: bytes, address: Address) -> None:
        # Short headers carry an id of our own fixed length: the common case needs no parsing.
        if data and not data[0] & 0x80:
            connection = self._connections.get(data[1:9])
        else:
            connection = self._long_header(data, address)
        if connection is not None:
            connection.receive(data, address)
            self._touched.add(connection)

    def _batch_ended(self) -> None:
        touched, self._touched = self._touched, set()
        for connection in touched:
            if connection.is_established:
                self._half_open.discard(connection)
            connection.transmit()

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
            self._socket.send([(packet, address)])

    def _newcomer(self, header: QuicHeader, address: Address) -> H3ServerConnection | None:
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=address,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=self._loop.time(),
                )
                retried = header.destination_cid
            except ValueError:
                if len(self._half_open) >= HALF_OPEN_LIMIT:
                    return None
        elif len(self._half_open) >= HALF_OPEN_LIMIT:
            self._send_retry(header, address)
            return None
        return self._open(header, original, retried)

    def _send_retry(self, header: QuicHeader, address: Address) -> None:
        source = os.urandom(8)
        token = self._retry.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self._loop.time(),
        )
        packet = encode_quic_retry(
            version=header.version or 0,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._socket.send([(packet, address)])

    def _open(
        self, header: QuicHeader, original: bytes, retried: bytes | None
    ) -> H3ServerConnection:
        quic = EdgeQuicConnection(
            self._choose_certificate,
            configuration=self._configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
            session_ticket_fetcher=self._take_ticket,
            session_ticket_handler=self._keep_ticket,
        )
        connection = H3ServerConnection(
            quic, self._socket, self._make_application, self._field_bytes,
            self._ids_changed, self._closed, self._loop,
        )  # fmt: skip
        for cid in (header.destination_cid, quic.host_cid):
            self._ids_changed(connection, cid, True)
        self._all.add(connection)
        self._half_open.add(connection)
        return connection

    def _keep_ticket(self, ticket: SessionTicket) -> None:
        self._tickets[ticket.ticket] = ticket
        if len(self._tickets) > TICKETS:
            del self._tickets[next(iter(self._tickets))]

    def _take_ticket(self, name: bytes) -> SessionTicket | None:
        """Give a ticket once: early data that comes with it cannot be replayed here."""
        return self._tickets.pop(name, None)

    def _ids_changed(self, connection: H3ServerConnection, cid: bytes, is_issued: bool) -> None:
        if is_issued:
            self._connections[cid] = connection
            connection.ids.add(cid)
        else:
            self._connections.pop(cid, None)
            connection.ids.discard(cid)

    def _closed(self, connection: H3ServerConnection) -> None:
        self._all.discard(connection)
        self._half_open.discard(connection)
        for cid in connection.ids:
            self._connections.pop(cid, None)
        if not self._all and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def drain(self, grace: float) -> None:
        """Refuse newcomers, say GOAWAY, wait up to ``grace`` seconds, close what is left."""
        self._is_draining = True
        for connection in list(self._all):
            connection.drain()
        self._emptied = self._loop.create_future()
        if self._all:
            await asyncio.wait([self._emptied], timeout=grace)
        self.close()

    def close(self) -> None:
        """Close every connection at once, and the socket."""
        for connection in list(self._all):
            connection.close(0)
            connection.transmit()
        self._socket.close()
