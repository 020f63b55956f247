"""``http.reverse_proxy.transport.http``: HTTP/1.1, HTTP/2 and HTTP/3, by TCP or unix socket, with or without TLS."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from quantum.config.units import NetworkAddress
from quantum.connection.h2_client import H2Client
from quantum.errors import ConfigError, unusable
from quantum.http.message import Response
from quantum.modules.lifetime import Provision
from quantum.net.client_tls import PeerTrust
from quantum.net.tls_client import open_tls
from quantum.tasks import TaskSet
from quantum.trust.upstreams import OfThisMachine, UpstreamTrust
from quantum.wire.h2 import H2Settings
from services.proxy.discovery.resolver import Resolver
from services.proxy.exchange import Outgoing, attempt
from services.proxy.transports.config import HttpTransportConfig
from services.proxy.transports.connection import Connection, Limits
from services.proxy.transports.dialling import (
    DialSettings,
    open_socket,
)
from services.proxy.transports.forward_proxy import ForwardProxy
from services.proxy.transports.h2.channels import Channels, SharedClient
from services.proxy.transports.h2.exchange import Multiplexing
from services.proxy.transports.pool import ConnectionPool
from services.proxy.transports.proxy_header import encode
from services.proxy.transports.tls import Security
from services.proxy.upstreams import Member

if TYPE_CHECKING:
    from services.proxy.transports.h3.dialling import QuicDialler

Attempt = Callable[[Member, Outgoing, TaskSet], Awaitable[Response]]
"""Sends a request to an upstream: the answer, UpstreamFailed, or what broke the request's own body."""

MAX_NAMED_POOLS = 256
"""Names of TLS servers that connections are kept for, where names come with requests."""
UPSTREAM = H2Settings(
    stream_window=256 * 1024,
    connection_window=16 * 1024 * 1024,
    field_bytes=1024 * 1024,
    field_count=2048,
    resets=(
        1_000_000,
        1_000_000,
    ),  # ours: an upstream cannot be made to flood us with what we reset
)
"""An upstream is chosen by whoever runs the proxy: bounds are for memory, not against attacks."""


class Transport(Protocol):
    """What a handler asks of its transport."""

    attempt: Attempt

    def is_tls_to(self, address: str) -> bool:
        """Whether ``address`` is spoken to over TLS: the Host field is then its own name."""

    def pool(self, address: str) -> ConnectionPool:
        """Return the pool of an upstream address, made when missing."""

    def drop(self, address: str) -> None:
        """Close what is kept for an address that is not used any more."""


class HttpTransport:
    """Makes and keeps the connections of one handler, by upstream address."""

    def __init__(self, config: HttpTransportConfig, provision: Provision) -> None:
        self._config = config
        versions = set(config.versions)
        self._security: Security | None = None
        trust: PeerTrust = provision.resources.get(UpstreamTrust) or OfThisMachine()
        if config.tls is not None:
            self._security = Security(
                config.tls,
                provision.path,
                trust,
                speaks_h2="2" in versions,
                speaks_h1="1.1" in versions,
            )
        self._is_h2c = config.tls is None and "h2c" in versions
        speaks_h2 = config.tls is not None and "2" in versions
        self._multiplexes = self._is_h2c or speaks_h2 or versions == {"3"}
        self._pools: dict[tuple[str, str], ConnectionPool] = {}
        self._tasks = TaskSet("proxy:transport")
        self._dialling = DialSettings(
            timeout=config.dial_timeout,
            fallback_delay=config.dial_fallback_delay,
            probe_interval=config.keep_alive.probe_interval,
            local_address=config.bind_address,
            resolver=None if config.resolver is None else Resolver(config.resolver, 0.0),
        )
        self._forward = _forward_proxy(config, provision.path)
        self._limits = Limits(
            max_head_bytes=config.max_response_header_size or 10 * 1024 * 1024,
            header_timeout=config.response_header_timeout,
            read_timeout=config.read_timeout,
            write_timeout=config.write_timeout,
            continue_timeout=config.expect_continue_timeout,
        )
        self._quic: QuicDialler | None = None
        if versions == {"3"}:
            self._quic = _quic_dialler(
                config, provision.path, trust, self._dialling, self._limits.max_head_bytes
            )
        self._h2 = dataclasses.replace(
            UPSTREAM, field_bytes=min(UPSTREAM.field_bytes, self._limits.max_head_bytes)
        )
        self.attempt = self._choose_attempt()
        provision.on_cleanup(self.aclose)

    def _choose_attempt(self) -> Attempt:
        """Return how requests are sent, decided once: the usual way is exchange.attempt itself."""
        self._send: Attempt = attempt
        if self._multiplexes:
            self._send = Multiplexing(
                header_timeout=self._limits.header_timeout,
                read_timeout=self._limits.read_timeout,
                tunnels_by_h2=self._is_h2c or "1.1" not in self._config.versions,
            ).attempt
        if self._config.proxy_protocol:
            return self._attempt_announced
        if self._forward is not None:
            return self._attempt_forwarded
        if self._security is not None and self._security.is_named_by_request:
            return self._attempt_named
        return self._send

    def is_tls_to(self, address: str) -> bool:
        """Whether ``address`` is spoken to over TLS."""
        return self._security is not None and self._security.covers(NetworkAddress.parse(address))

    def pool(self, address: str, name: str = "") -> ConnectionPool:
        """Return the pool of an upstream address under a TLS name, made when missing."""
        pool = self._pools.get((address, name))
        if pool is None:
            if name and len(self._pools) >= MAX_NAMED_POOLS:
                self._drop_oldest()
            pool = self._pools[address, name] = self._make_pool(address, name)
        return pool

    def drop(self, address: str) -> None:
        """Close what is kept for an address; requests under way end by themselves."""
        for key in [key for key in self._pools if key[0] == address]:
            self._tasks.start(self._pools.pop(key).aclose())

    async def aclose(self) -> None:
        """Close idle connections; those in use end with their requests."""
        for pool in self._pools.values():
            await pool.aclose()
        await self._tasks.aclose()

    def _drop_oldest(self) -> None:
        oldest = next((key for key in self._pools if key[1]), None)
        if oldest is not None:
            self._tasks.start(self._pools.pop(oldest).aclose())

    def _make_pool(self, address: str, name: str, first: bytes = b"") -> ConnectionPool:
        keep, target = self._config.keep_alive, NetworkAddress.parse(address)
        dial = partial(self._dial, target)
        if name or first:
            dial = partial(self._dial, target, name=name, first=first)
        timeout = self._config.dial_timeout
        if self.is_tls_to(address) and self._security is not None:
            timeout += self._security.handshake_timeout
        pool = ConnectionPool(
            dial,
            dial_timeout=timeout,
            max_idle=keep.max_idle_conns_per_host if keep.enabled and not first else 0,
            max_open=self._config.max_conns_per_host,
            idle_timeout=keep.idle_timeout,
        )
        if keep.max_idle_conns:
            pool.on_idle = self._bound_idle
        if first:
            return pool
        if self._is_h2c or (self._multiplexes and self.is_tls_to(address)):
            pool.channels = Channels(
                partial(self._negotiate if self._quic is None else self._open_quic, target, name),
                pool,
                scheme="http" if self._is_h2c else "https",
                dial_timeout=timeout,
                max_open=self._config.max_conns_per_host,
                idle_timeout=keep.idle_timeout,
            )
        return pool

    async def _attempt_named(
        self, member: Member, outgoing: Outgoing, senders: TaskSet
    ) -> Response:
        """Send by connections that were opened under the name this request says."""
        assert self._security is not None
        named = copy.copy(member)
        named.pool = self.pool(member.address, self._security.name_for(outgoing.request))
        return await self._send(named, outgoing, senders)

    async def _attempt_announced(
        self, member: Member, outgoing: Outgoing, senders: TaskSet
    ) -> Response:
        """Send on a connection of its own that begins with a PROXY header for this client."""
        request = outgoing.request
        name = "" if self._security is None else self._security.name_for(request)
        header = encode(self._config.proxy_protocol, request.connection)
        announced = copy.copy(member)
        announced.pool = self._make_pool(member.address, name, header)
        return await attempt(announced, outgoing, senders)

    async def _attempt_forwarded(
        self, member: Member, outgoing: Outgoing, senders: TaskSet
    ) -> Response:
        """Send through the proxy: in a tunnel, or with the whole URL to the proxy itself."""
        assert self._forward is not None
        if self._is_tunnelled(NetworkAddress.parse(member.address)):
            return await self._send(member, outgoing, senders)
        target, headers = outgoing.target, outgoing.headers
        path = outgoing.request.target if target is None else target
        outgoing.target = f"http://{member.host_port.decode()}{path}"
        if self._forward.authorization is not None:
            outgoing.headers = headers.copy()
            outgoing.headers.set(b"proxy-authorization", self._forward.authorization)
        try:
            return await attempt(member, outgoing, senders)
        finally:
            outgoing.target, outgoing.headers = target, headers

    def _is_tunnelled(self, address: NetworkAddress) -> bool:
        return self._is_h2c or (self._security is not None and self._security.covers(address))

    def _bound_idle(self) -> None:
        """Close the connection that is idle longest while more than ``max_idle_conns`` are."""
        pools = self._pools.values()
        while sum(pool.idle for pool in pools) > self._config.keep_alive.max_idle_conns:
            min(pools, key=lambda pool: pool.oldest_idle).close_oldest()

    # Opening.

    async def _dial(
        self,
        address: NetworkAddress,
        on_close: Callable[[Connection], None],
        name: str = "",
        first: bytes = b"",
    ) -> Connection:
        """Open a connection that speaks HTTP/1.1."""
        make = partial(Connection, asyncio.get_running_loop(), self._limits, on_close)
        context = None if self._security is None else self._security.plain
        connection = await self._open(address, name, context, make, first)
        assert isinstance(connection, Connection)
        return connection

    async def _negotiate(
        self,
        address: NetworkAddress,
        name: str,
        on_lost: Callable[[SharedClient], None],
        on_close: Callable[[Connection], None],
    ) -> SharedClient | Connection:
        """Open a connection that speaks what the upstream prefers."""
        loop = asyncio.get_running_loop()

        def choose(protocol: str | None) -> H2Client | Connection:
            if protocol == "h2" or self._is_h2c:
                return H2Client(self._h2, loop, on_lost)
            return Connection(loop, self._limits, on_close)

        context = None if self._security is None else self._security.offering_all
        made = await self._open(address, name, context, lambda: _Negotiation(choose))
        assert isinstance(made, _Negotiation)
        if isinstance(made.chosen, Connection) and "1.1" not in self._config.versions:
            made.chosen.abort()
            raise OSError("the upstream does not speak HTTP/2")
        assert made.chosen is not None
        return made.chosen

    async def _open_quic(
        self,
        address: NetworkAddress,
        name: str,
        on_lost: Callable[[SharedClient], None],
        on_close: Callable[[Connection], None],
    ) -> SharedClient:
        """Open a connection over QUIC; its handshake is waited for by ``ready``."""
        assert self._quic is not None
        assert self._security is not None
        server_name = name or self._security.fixed_name or address.host or "localhost"
        return await self._quic.open(address, server_name, on_lost)

    async def _open(
        self,
        address: NetworkAddress,
        name: str,
        context: ssl.SSLContext | None,
        make: Callable[[], asyncio.Protocol],
        first: bytes = b"",
    ) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        near = address if self._forward is None else self._forward.address
        sock = await open_socket(near, self._dialling, first)
        security = self._security
        try:
            if self._forward is not None and self._is_tunnelled(address):
                await self._forward.connect(sock, address.host_port())
            if security is None or not security.covers(address):
                _, protocol = await loop.create_connection(make, sock=sock)
                return protocol
            host = "localhost" if address.is_unix else address.host or "localhost"
            assert context is not None
            name = name or security.fixed_name or host
            return await open_tls(sock, context, name, make, security.handshake_timeout)
        except BaseException:
            _close(sock)
            raise


def _quic_dialler(
    config: HttpTransportConfig,
    path: str,
    trust: PeerTrust,
    dialling: DialSettings,
    max_head_bytes: int,
) -> QuicDialler:
    """Return what opens connections over QUIC. Only who speaks it loads it: aioquic is large."""
    from services.proxy.transports.h3.dialling import QuicDialler
    from services.proxy.transports.h3.quic import client_configuration

    assert config.tls is not None
    try:
        shared = client_configuration(config.tls, trust, config.keep_alive.idle_timeout)
        return QuicDialler(shared, dialling, max_head_bytes)
    except (OSError, ValueError) as error:
        raise unusable(f"{path}.tls", error) from error


def _forward_proxy(config: HttpTransportConfig, path: str) -> ForwardProxy | None:
    if not config.proxy_url:
        return None
    try:
        return ForwardProxy(config.proxy_url)
    except ValueError as error:
        raise ConfigError(f"{path}.forward_proxy_url", str(error)) from error


def _close(sock: socket.socket) -> None:
    """Close a socket that no transport took; one that did has closed it."""
    if sock.fileno() != -1:
        sock.close()


class _Negotiation(asyncio.Protocol):
    """Stands in until TLS has agreed on a protocol; then that one's connection takes over."""

    def __init__(self, choose: Callable[[str | None], H2Client | Connection]) -> None:
        self._choose = choose
        self.chosen: H2Client | Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over."""
        session = transport.get_extra_info("ssl_object")
        agreed = session.selected_alpn_protocol() if session is not None else None
        self.chosen = self._choose(agreed)
        transport.set_protocol(self.chosen)
        self.chosen.connection_made(transport)
