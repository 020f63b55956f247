"""``http.reverse_proxy.transport.http``: upstreams over HTTP/1.1, by TCP or unix socket, with or without TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial

from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError
from quantum.modules.lifetime import Provision
from quantum.net.client_tls import make_client_context
from services.proxy.transports.config import HttpTransportConfig, UpstreamTls
from services.proxy.transports.connection import Connection, Limits
from services.proxy.transports.pool import ConnectionPool

KEEP_ALIVE_PROBES = 9
"""Unanswered TCP probes that end a connection: Linux' default, and Go's."""
DEFAULT_TLS_HANDSHAKE = 10.0
"""Seconds for a TLS handshake when none are configured: Go's transport."""


class HttpTransport:
    """Makes and keeps the connection pools of one handler, one per upstream address."""

    def __init__(self, config: HttpTransportConfig, provision: Provision) -> None:
        self._config = config
        self._tls = _tls_context(config.tls, provision.path)
        self._pools: dict[str, ConnectionPool] = {}
        self._limits = Limits(
            max_head_bytes=config.max_response_header_size or 10 * 1024 * 1024,
            header_timeout=config.response_header_timeout,
            read_timeout=config.read_timeout,
            write_timeout=config.write_timeout,
        )
        provision.on_cleanup(self.aclose)

    @property
    def is_tls(self) -> bool:
        """Whether upstreams are spoken to over TLS: their Host field is then their own name."""
        return self._tls is not None

    def pool(self, address: str) -> ConnectionPool:
        """Return the pool of an upstream address, made when missing."""
        pool = self._pools.get(address)
        if pool is None:
            keep = self._config.keep_alive
            pool = self._pools[address] = ConnectionPool(
                partial(self._dial, NetworkAddress.parse(address)),
                dial_timeout=self._config.dial_timeout,
                max_idle=keep.max_idle_conns_per_host if keep.enabled else 0,
                max_open=self._config.max_conns_per_host,
                idle_timeout=keep.idle_timeout,
            )
        return pool

    async def aclose(self) -> None:
        """Close idle connections; those in use end with their requests."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _dial(
        self, address: NetworkAddress, on_close: Callable[[Connection], None]
    ) -> Connection:
        loop = asyncio.get_running_loop()
        make = partial(Connection, loop, self._limits, on_close)
        if address.is_unix:
            path = "\0" + address.host[1:] if address.host.startswith("@") else address.host
            _, connection = await loop.create_unix_connection(
                make,
                path,
                ssl=self._tls,
                server_hostname=self._server_name("localhost"),
                ssl_handshake_timeout=self._handshake_timeout(),
            )
            return connection
        host = address.host or "localhost"
        _, connection = await loop.create_connection(
            make,
            host,
            address.port,
            ssl=self._tls,
            server_hostname=self._server_name(host),
            ssl_handshake_timeout=self._handshake_timeout(),
        )
        self._probe(connection)
        return connection

    def _server_name(self, host: str) -> str | None:
        if self._config.tls is None:
            return None
        return self._config.tls.server_name or host

    def _handshake_timeout(self) -> float | None:
        if self._config.tls is None:
            return None
        return self._config.tls.handshake_timeout or DEFAULT_TLS_HANDSHAKE

    def _probe(self, connection: Connection) -> None:
        """Let the kernel notice upstreams that vanished without a word."""
        sock = connection.transport.get_extra_info("socket")
        interval = int(self._config.keep_alive.probe_interval)
        if sock is None or interval <= 0:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)


def _tls_context(config: UpstreamTls | None, path: str) -> ssl.SSLContext | None:
    if config is None:
        return None
    try:
        return make_client_context(config)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"{path}.tls", f"cannot be used: {error}") from error
