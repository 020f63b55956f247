"""``http.reverse_proxy.transport.http``: upstreams over HTTP/1.1, by TCP or unix socket, with or without TLS."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError
from quantum.modules.lifetime import Provision
from services.proxy.config import HttpTransportConfig, UpstreamTls
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
        self._tls = None if config.tls is None else make_tls_context(config.tls, provision.path)
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


def make_tls_context(config: UpstreamTls, path: str) -> ssl.SSLContext:
    """Return the context of a client; ConfigError when its files cannot be used."""
    try:
        pems = _roots(config)
        context = ssl.create_default_context(cadata="\n".join(pems) if pems else None)
        if config.client_certificate_file:
            context.load_cert_chain(
                config.client_certificate_file, config.client_certificate_key_file
            )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"{path}.tls", f"cannot be used: {error}") from error
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _roots(config: UpstreamTls) -> list[str]:
    """Return the certificates that replace the system's roots; none: the system's are trusted."""
    ca = config.ca or {}
    files = [*config.root_ca_pem_files, *ca.get("pem_files", ())]
    inline = [*config.root_ca_pool, *ca.get("trusted_ca_certs", ())]
    return [Path(name).read_text("ascii") for name in files] + [_pem(text) for text in inline]


def _pem(base64_der: str) -> str:
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(base64_der))
