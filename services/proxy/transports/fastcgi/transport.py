"""``http.reverse_proxy.transport.fastcgi``: requests to PHP-FPM and its like, by TCP or unix socket."""

from __future__ import annotations

import asyncio
from functools import partial

from quantum.config.units import NetworkAddress
from quantum.errors import HttpError
from quantum.http.body import AnyBody, read_all
from quantum.http.message import Response
from quantum.modules.lifetime import Provision
from quantum.replies import Reply
from quantum.tasks import TaskSet
from services.proxy.exchange import Outgoing, attempt, begin
from services.proxy.leases import Lease
from services.proxy.transports.config import FastCgiTransportConfig
from services.proxy.transports.connection import Connection, Limits, OnClose
from services.proxy.transports.dialling import DialSettings, open_socket
from services.proxy.transports.fastcgi.environment import Environment
from services.proxy.transports.fastcgi.records import (
    encode_begin,
    encode_params,
    encode_stdin,
    encode_stdin_end,
)
from services.proxy.transports.fastcgi.reply import ReplyReader
from services.proxy.transports.pool import ConnectionPool
from services.proxy.upstreams import Member

MAX_HEAD_BYTES = 1024 * 1024
"""An application's response head: far above what any browser would take."""
MAX_UNSIZED_BODY = 64 * 1024 * 1024
"""A chunked request body is held in memory, for CGI needs its length; a longer one is 413."""


class FastCgiTransport:
    """Makes and keeps the connections of one handler, by upstream address."""

    def __init__(self, config: FastCgiTransportConfig, provision: Provision) -> None:
        self._config = config
        self._keeps = config.keep_alive.enabled if config.keep_alive is not None else False
        self._environment = Environment(config)
        self._log = provision.log
        self._pools: dict[str, ConnectionPool] = {}
        self._tasks = TaskSet("proxy:fastcgi")
        self._dialling = DialSettings(timeout=config.dial_timeout)
        self._limits = Limits(
            max_head_bytes=MAX_HEAD_BYTES,
            header_timeout=config.read_timeout,
            read_timeout=config.read_timeout,
            write_timeout=config.write_timeout,
        )
        provision.on_cleanup(self.aclose)

    def is_tls_to(self, address: str) -> bool:
        """FastCGI has no TLS."""
        return False

    def pool(self, address: str) -> ConnectionPool:
        """Return the pool of an upstream address, made when missing."""
        pool = self._pools.get(address)
        if pool is None:
            keep = self._config.keep_alive
            pool = self._pools[address] = ConnectionPool(
                partial(self._dial, NetworkAddress.parse(address)),
                dial_timeout=self._config.dial_timeout,
                max_idle=keep.max_idle_conns_per_host if keep is not None and self._keeps else 0,
                max_open=0,
                idle_timeout=keep.idle_timeout if keep is not None else 1.0,
            )
        return pool

    def drop(self, address: str) -> None:
        """Close what is kept for an address; requests under way end by themselves."""
        pool = self._pools.pop(address, None)
        if pool is not None:
            self._tasks.start(pool.aclose())

    async def aclose(self) -> None:
        """Close idle connections; those in use end with their requests."""
        for pool in self._pools.values():
            await pool.aclose()
        await self._tasks.aclose()

    async def attempt(self, member: Member, outgoing: Outgoing, senders: TaskSet) -> Response:
        """Send a request: as ``exchange.attempt``. There are no tunnels; the application sees a plain request."""
        outgoing.wish = None
        outgoing.body = await _sized(outgoing.body)
        return await attempt(member, outgoing, senders, self._send)

    def _send(
        self, lease: Lease, connection: Connection, outgoing: Outgoing, senders: TaskSet
    ) -> Reply[Response]:
        body = outgoing.body
        length = len(body) if isinstance(body, bytes) else body.length or 0
        request = outgoing.request
        target = request.target if outgoing.target is None else outgoing.target
        pairs = self._environment.of(request, outgoing.method, target, outgoing.headers, length)
        head = encode_begin(keeps=self._keeps) + encode_params(pairs)
        if isinstance(body, bytes):
            head += encode_stdin(body) + encode_stdin_end()
        return begin(lease, connection, outgoing, senders, head, (encode_stdin, _last))

    async def _dial(self, address: NetworkAddress, on_close: OnClose) -> Connection:
        loop = asyncio.get_running_loop()
        report = self._report if self._config.capture_stderr else None
        reader = ReplyReader(MAX_HEAD_BYTES, keeps=self._keeps, report=report)
        sock = await open_socket(address, self._dialling)
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self._limits, on_close, reader), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        return connection

    def _report(self, status: int, said: bytes) -> None:
        """Log what the application said on stderr."""
        log = self._log.error if status >= 400 else self._log.info
        log("fastcgi_stderr", status=status, text=said.decode("utf-8", "replace").rstrip())


def _last(trailers: object) -> bytes:
    return encode_stdin_end()


async def _sized(body: AnyBody) -> AnyBody:
    """Return a body whose length is known: one without is read whole (HttpError 413: too long)."""
    if isinstance(body, bytes) or body.length is not None:
        return body
    try:
        return await read_all(body, MAX_UNSIZED_BODY)
    except ValueError as error:
        raise HttpError(413, f"FastCGI needs the length of a body: {error}") from error
