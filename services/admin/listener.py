"""The socket of the admin API and the door in front of it.

A listener is opened when a configuration is prepared (so that an address in use refuses the
configuration) and begins to accept when it is committed. An old one lets its requests finish: the
answer to the very request that moved the API still goes out on it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from aiohttp import web

from quantum.config.load import MAX_DOCUMENT_BYTES
from quantum.config.units import NetworkAddress
from services.admin.api import AdminApi, error_answer
from services.admin.config import AdminConfig
from services.admin.origin import OriginRules

Place = tuple[socket.AddressFamily, tuple[str, int]]

BACKLOG = 64
HEADER_SECONDS = 5.0
"""From the connection to a whole request head: Caddy's limit for its admin API."""
IDLE_SECONDS = 60.0
"""Keep-alive between requests: Caddy's."""
MAX_LINE = 16 * 1024
"""Bytes of the request line: a path names a place in a document."""
MAX_FIELD = 8 * 1024
"""Bytes of one header field; aiohttp counts each alone."""

CORS = {
    "Access-Control-Allow-Methods": "OPTIONS, GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Content-Type, Content-Length, Cache-Control, If-Match",
}


class AdminListener:
    """One address at which the API is served, with the rules of its configuration."""

    def __init__(
        self, config: AdminConfig, api: AdminApi, log: structlog.stdlib.BoundLogger
    ) -> None:
        self.address = config.listen
        self.rules = OriginRules.of(config)
        self._api = api
        self._log = log
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._silent: set[web.RequestHandler] = set()
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is bound (of address port 0: the one the system chose); 0 for unix."""
        return 0 if self.address.is_unix else int(self._sockets[0].getsockname()[1])

    def bind(self) -> None:
        """Take the address. OSError when it is not to be had."""
        try:
            if self.address.is_unix:
                self._sockets.append(_bind_unix(self.address))
            else:
                self._bind_all(_resolve(self.address))
        except OSError:
            self.abandon()
            raise

    def _bind_all(self, places: Sequence[Place]) -> None:
        """Bind every address of a name; a machine without IPv6 has no ::1, which is no reason to fail."""
        for family, place in places:
            try:
                self._sockets.append(_bind_tcp(family, place))
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
        if not self._sockets:
            raise OSError(errno.EADDRNOTAVAIL, "no address of this machine")

    def abandon(self) -> None:
        """Give up an address that was never served."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    async def serve(self) -> None:
        """Begin to accept on the bound sockets."""
        app = web.Application(client_max_size=MAX_DOCUMENT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            handle_signals=False,
            shutdown_timeout=10.0,
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            self._servers.append(await loop.create_server(self._make_protocol, sock=each))
        self._log.info("admin_listening", address=str(self.address))

    async def aclose(self) -> None:
        """Stop accepting, let requests finish, remove the file of a unix socket. Idempotent."""
        for server in self._servers:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._sockets and self.address.is_unix and not self.address.host.startswith("@"):
            _remove(self.address.host)
        self._servers.clear()
        self._sockets.clear()

    def _make_protocol(self) -> asyncio.Protocol:
        assert self._runner is not None
        assert self._runner.server is not None
        protocol: web.RequestHandler = self._runner.server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(HEADER_SECONDS, self._close_if_silent, protocol)
        return protocol

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        """Close a connection without a request so far: aiohttp itself waits for the first for ever."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            protocol.force_close()

    async def _handle(self, request: web.Request) -> web.Response:
        self._silent.discard(request.protocol)
        refusal = self.rules.check(request.method, request.headers)
        if refusal is not None:
            self._log.warning(
                "admin_request_refused",
                reason=refusal.reason,
                method=request.method,
                path=request.path,
                peer=request.remote,
            )
            return error_answer(refusal.status, refusal.reason, {"Server": "Quantum"})
        shared = self.rules.may_share(request.headers)
        if request.method == "OPTIONS":
            response = web.Response(status=204 if shared else 405, headers=CORS if shared else None)
        else:
            response = await self._api.handle(request)
        if shared is not None:
            response.headers["Access-Control-Allow-Origin"] = shared
            response.headers["Vary"] = "Origin"
        response.headers["Server"] = "Quantum"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            self._log.info(
                "admin_request_handled",
                method=request.method,
                path=request.path,
                status=response.status,
                peer=request.remote,
            )
        return response


def _resolve(address: NetworkAddress) -> Sequence[Place]:
    """Return every address that ``host`` means: localhost is 127.0.0.1 and ::1."""
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    places = {(family, (str(place[0]), int(place[1]))) for family, _, _, _, place in found}
    return sorted(places)[: None if address.port else 1]  # a port that the system chooses, once


def _bind_tcp(family: socket.AddressFamily, place: tuple[str, int]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_unix(address: NetworkAddress) -> socket.socket:
    """Bind a unix socket, removing the file that a process which is gone left behind."""
    path = address.host
    name = "\0" + path[1:] if path.startswith("@") else path
    if name == path:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(path).stat().st_mode) and not _is_served(path):
                Path(path).unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(name)
        if name == path:
            Path(path).chmod(address.mode)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
