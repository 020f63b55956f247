"""The UDP side of an entrypoint: what the endpoints of its sockets share, and what they tell of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from quantum.connection.h2_server import H2Application
from quantum.http.message import ConnectionFacts, TlsFacts
from quantum.net.client_hello import ClientHello
from quantum.tasks import TaskSet
from services.edge.admission import Admission
from services.edge.protocols.application import HTTP_3, MAX_HEAD_BYTES, EdgeApplication
from services.edge.protocols.h3.connection import H3ServerConnection
from services.edge.protocols.h3.endpoint import H3Endpoint, H3Settings
from services.edge.protocols.h3.quic import QuicCertificate
from services.edge.protocols.host import Host

LONGEST_IDLE = 600.0
"""Seconds a silent connection is kept where the configuration sets no bound: QUIC needs one."""
ALT_SVC_SECONDS = 30 * 24 * 3600
"""How long a client may remember that HTTP/3 is spoken here (Caddy's ``ma``)."""


class ChooseQuicCertificate(Protocol):
    """Finds the certificate for a hello by the policies of a server."""

    def find_quic(self, hello: ClientHello, local_ip: str) -> QuicCertificate | None:
        """Return the certificate that is at hand."""

    async def obtain_quic(self, hello: ClientHello, local_ip: str) -> QuicCertificate | None:
        """Fetch it, if there is one to be had."""


class QuicHost(Host, Protocol):
    """What HTTP/3 asks of its entrypoint, beside what every version does."""

    quic: QuicSettings | None
    admission: Admission
    tasks: TaskSet


class QuicSettings:
    """What one revision says about HTTP/3 on an address; exchanged like its site."""

    __slots__ = ("allows_early", "certificates")

    def __init__(self, certificates: ChooseQuicCertificate, *, allows_early: bool) -> None:
        self.certificates = certificates
        self.allows_early = allows_early


class H3Listener:
    """An H3Host: the UDP sockets of one entrypoint."""

    def __init__(self, host: QuicHost, sockets: Sequence[socket.socket]) -> None:
        """Begin to serve; ``sockets`` are bound."""
        self._host = host
        self._endpoints = [H3Endpoint(sock, self, host.tasks, host.loop) for sock in sockets]

    def __len__(self) -> int:
        return sum(map(len, self._endpoints))

    def drain(self) -> None:
        """Take no newcomers; let connections finish and close."""
        for endpoint in self._endpoints:
            endpoint.drain()

    def close(self) -> int:
        """Cut every connection and close the sockets; return how many were cut. Idempotent."""
        return sum(endpoint.close() for endpoint in self._endpoints)

    # What endpoints ask.

    def settings(self) -> H3Settings:
        """Return what a connection that begins now obeys."""
        limits = self._host.site.limits
        quic = self._host.quic
        return H3Settings(
            # Twice what is answered with 431, so that an honest mistake is told and an attack cut.
            field_bytes=2 * MAX_HEAD_BYTES,
            idle_timeout=limits.idle if limits.idle > 0 else LONGEST_IDLE,
            allows_early=quic is not None and quic.allows_early,
            read=limits.read,
            write=limits.write,
            look=limits.look,
        )

    def find_certificate(self, name: str, local_ip: str) -> QuicCertificate | None:
        """Return the certificate for a name by the policies now in use."""
        quic = self._host.quic
        return quic.certificates.find_quic(ClientHello(name), local_ip) if quic else None

    async def obtain_certificate(self, name: str, local_ip: str) -> QuicCertificate | None:
        """Fetch it."""
        quic = self._host.quic
        if quic is None:
            return None
        return await quic.certificates.obtain_quic(ClientHello(name), local_ip)

    def application(self, connection: H3ServerConnection) -> H2Application:
        """Return the application of one connection, with what is known of its client now."""
        quic = connection.quic
        tls = TlsFacts(
            version="tls1.3",
            cipher=quic.cipher,
            server_name=quic.server_name or "",
            protocol="h3",
            resumed=quic.is_resumed,
            early=not quic.is_established,
        )
        site = self._host.site
        facts = ConnectionFacts(connection.peer, connection.local, "https", tls, site.name)
        return EdgeApplication(self._host, facts, HTTP_3)

    def enter(self) -> bool:
        """Admit a connection, if there is room."""
        return self._host.admission.enter()

    def left(self) -> None:
        """An admitted connection is gone."""
        self._host.admission.leave()

    def enter_client(self, ip: str) -> bool:
        """Count a connection of a client; False: it has too many."""
        return self._host.admission.enter_client(ip)

    def leave_client(self, ip: str) -> None:
        """A connection of a client is gone."""
        self._host.admission.leave_client(ip)

    def handshake_failed(self, reason: str) -> None:
        """Count it."""
        self._host.admission.handshakes_failed.labels(f"quic_{reason}").inc()

    def reached(self, limit: str, peer: str) -> None:
        """Count it."""
        self._host.reached(limit, peer)


def alternative(port: int) -> bytes:
    """Return the Alt-Svc value for HTTP/3 on ``port`` of the same host (RFC 7838 §3)."""
    return b'h3=":%d"; ma=%d' % (port, ALT_SVC_SECONDS)


def open_datagrams(beside: Sequence[socket.socket]) -> list[socket.socket]:
    """Return UDP sockets bound to the addresses that these TCP sockets listen on; OSError if one is taken."""
    opened: list[socket.socket] = []
    try:
        for stream in beside:
            if stream.family in {socket.AF_INET, socket.AF_INET6}:
                opened.append(_bind_like(stream))  # noqa: PERF401 - what is open is closed on failure
    except OSError:
        for sock in opened:
            sock.close()
        raise
    return opened


def _bind_like(stream: socket.socket) -> socket.socket:
    sock = socket.socket(stream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if stream.family == socket.AF_INET6:
            v6_only = stream.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        sock.bind(stream.getsockname())
    except OSError:
        sock.close()
        raise
    return sock
