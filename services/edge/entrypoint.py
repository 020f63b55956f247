"""One address that clients connect to: its sockets, its connections, and the site they are served.

An entrypoint outlives configurations. A reload that still wants its address only exchanges ``site``
and ``tls``; connections go on, and their next request meets the new routes.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import cast

from quantum.net.listen import BACKLOG, KeepAlive, close_all, tune
from quantum.tasks import TaskSet
from services.edge.admission import Admission
from services.edge.listening.proxied import Ends, ProxiedConnection
from services.edge.listening.wrapping import Wrapping
from services.edge.protocols import UNDECIDED, make_protocol
from services.edge.protocols.deadlines import Deadlines
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.h3.listener import (
    H3Listener,
    QuicSettings,
    alternative,
    open_datagrams,
)
from services.edge.protocols.host import HttpConnection, Site
from services.edge.tls.handshake import ChooseContext, TlsConnection, facts_of
from services.edge.tls.proving import FindProof

POLL_SECONDS = 0.05
"""How often a drain looks whether all connections are gone."""


@dataclass
class Surroundings:
    """What all entrypoints of a process share."""

    loop: asyncio.AbstractEventLoop
    stamps: Stamps
    admission: Admission
    tasks: TaskSet
    proofs: FindProof
    deadlines: Deadlines = field(init=False)
    other_stamps: dict[bytes, Stamps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deadlines = Deadlines(self.loop, self.refresh)

    def stamps_with(self, alternative: bytes) -> Stamps:
        """Return the stamps of entrypoints that name ``alternative``."""
        if alternative not in self.other_stamps:
            self.other_stamps[alternative] = Stamps(alternative)
        return self.other_stamps[alternative]

    def refresh(self) -> None:
        """Take the current second for all stamps."""
        self.stamps.refresh()
        for stamps in self.other_stamps.values():
            stamps.refresh()


class Entrypoint:
    """A Host. ``site`` and ``tls`` may be exchanged at any time."""

    def __init__(
        self,
        sockets: list[socket.socket],
        site: Site,
        tls: ChooseContext | None,
        keep_alive: KeepAlive,
        around: Surroundings,
    ) -> None:
        """``sockets`` listen already: what connects before ``serve`` waits in the kernel."""
        self.site = site
        self.tls = tls
        self.loop = around.loop
        self.stamps = around.stamps
        self._around = around
        self.deadlines = around.deadlines
        self.admission = around.admission
        self.tasks = around.tasks
        self.proofs = around.proofs
        self.quic: QuicSettings | None = None
        self.is_draining = False
        self._datagrams: H3Listener | None = None
        self._leaving: list[H3Listener] = []
        self.wrapping = Wrapping()
        self.speaks_h2c = False
        self.handshaking: dict[TlsConnection, None] = {}
        self._connections: set[HttpConnection] = set()
        self._sockets = sockets
        self._servers: list[asyncio.AbstractServer] = []
        for sock in sockets:
            tune(sock, keep_alive)

    @property
    def open_connections(self) -> int:
        """The connections that are open."""
        over_udp = len(self._datagrams) if self._datagrams is not None else 0
        over_udp += sum(map(len, self._leaving))
        return len(self._connections) + len(self.handshaking) + over_udp

    @property
    def port(self) -> int:
        """The TCP port, 0 of a unix socket."""
        name = self._sockets[0].getsockname() if self._sockets else None
        return int(name[1]) if isinstance(name, tuple) else 0

    @property
    def speaks_h3(self) -> bool:
        """Whether the UDP port beside the TCP port is open."""
        return self._datagrams is not None

    def open_datagrams(self) -> list[socket.socket]:
        """Return UDP sockets bound to the addresses of the TCP ones; OSError when one is taken."""
        return open_datagrams(self._sockets)

    def serve_h3(self, sockets: list[socket.socket]) -> None:
        """Begin to speak HTTP/3, and to say so over the other versions."""
        self._datagrams = H3Listener(self, sockets)
        self.stamps = self._around.stamps_with(alternative(self.port))

    def leave_h3(self, grace: float) -> None:
        """Stop speaking HTTP/3 within ``grace`` seconds."""
        leaving, self._datagrams = self._datagrams, None
        self.stamps = self._around.stamps
        if leaving is not None:
            leaving.drain()
            self._leaving.append(leaving)
            self.loop.call_later(grace, self._leave, leaving)

    def _leave(self, leaving: H3Listener) -> int:
        if leaving in self._leaving:
            self._leaving.remove(leaving)
        return leaving.close()

    async def serve(self) -> None:
        """Begin to accept."""
        for sock in self._sockets:
            if sock.family == socket.AF_UNIX:
                server: asyncio.AbstractServer = await self.loop.create_unix_server(
                    self._accept, sock=sock, backlog=BACKLOG
                )
            else:
                server = await self.loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
            self._servers.append(server)

    def _accept(self) -> asyncio.Protocol:
        if not self.admission.enter():
            return _Refusal()
        proxy = self.wrapping.proxy
        return self._begin(None) if proxy is None else ProxiedConnection(self, proxy, self._begin)

    def _begin(self, ends: Ends | None) -> asyncio.Protocol:
        """Return the protocol of a connection; ``ends`` as told by a balancer, None: the socket's."""
        if self.tls is not None:
            return TlsConnection(self, ends)
        return _PlainConnection(self, ends)

    def joined(self, connection: HttpConnection) -> None:
        """A connection speaks HTTP now."""
        self._connections.add(connection)

    def handed_over(self, connection: HttpConnection) -> None:
        """Another protocol speaks on the same connection now."""
        self._connections.discard(connection)

    def left(self, connection: HttpConnection) -> None:
        """It is gone."""
        self._connections.discard(connection)
        if connection.facts.tls is None:  # of one under TLS, TlsConnection says it
            self.admission.leave_client(connection.facts.peer[0])
            self.admission.leave()

    def reached(self, limit: str, peer: str = "") -> None:
        """Count that a limit was reached; ``peer``: the address whose connection ends by it."""
        self.admission.reached(limit)
        if peer and not self.site.trusts(peer):
            self.admission.cut(limit, peer)

    def stop_accepting(self) -> None:
        """Close the sockets; connections go on."""
        for server in self._servers:
            server.close()
        close_all(self._sockets)
        self._servers, self._sockets = [], []

    async def drain(self, grace: float) -> int:
        """Let what runs end within ``grace`` seconds, then cut the rest; returns how many were cut."""
        self.is_draining = True
        self.stop_accepting()
        for connection in list(self._connections):
            connection.drain()
        if self._datagrams is not None:
            self._datagrams.drain()
        deadline = self.loop.time() + grace
        while self.open_connections and self.loop.time() < deadline:  # noqa: ASYNC110 - rare, and two sets empty
            await asyncio.sleep(POLL_SECONDS)
        rest: list[HttpConnection | TlsConnection] = [*self._connections, *self.handshaking]
        for left in rest:
            left.abort()
        if rest:
            await asyncio.sleep(0)  # their transports tell them in the next turn
        over_udp = self._datagrams.close() if self._datagrams is not None else 0
        over_udp += sum(self._leave(leaving) for leaving in list(self._leaving))
        return len(rest) + over_udp


class _PlainConnection(asyncio.Protocol):
    """Stands in until the transport is there: facts are taken from it, then HTTP takes over."""

    __slots__ = ("_ends", "_host")

    def __init__(self, host: Entrypoint, ends: Ends | None) -> None:
        self._host = host
        self._ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over."""
        facts = facts_of(transport, "http", self._host.site.name, None, self._ends)
        alpn = UNDECIDED if self._host.speaks_h2c else ""
        protocol = make_protocol(alpn, self._host, facts)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not self._host.admission.enter_client(facts.peer[0]):
            _abort(transport)


class _Refusal(asyncio.Protocol):
    """Turns a connection away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it, without a word: it costs nothing and tells a balancer to go elsewhere."""
        _abort(transport)


def _abort(transport: asyncio.BaseTransport) -> None:
    # uvloop's transports have every method of asyncio's and are none.
    cast("asyncio.Transport", transport).abort()
