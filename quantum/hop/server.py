"""The far end of the hop: requests of other processes for the handlers of this one."""

from __future__ import annotations

import asyncio
import hmac

import structlog

from quantum.connection.h2_server import H2Server, Handle
from quantum.errors import HttpError
from quantum.hop.address import listen, remove_socket
from quantum.hop.envelope import (
    Address,
    RevisionLackingError,
    error_fields,
    is_probe,
    lead_of,
    open_request,
    parse_lead,
    response_fields,
)
from quantum.hop.facts import FactsCache
from quantum.hop.resolve import HandlerTable
from quantum.http.body import AnyBody
from quantum.http.message import Request, Response
from quantum.wire.h2 import Fields, H2Settings
from quantum.wire.mux.codec import MuxCodec

MAX_STREAMS = 512
"""Requests at once on one connection: a busy edge opens a few connections before it waits."""
STREAM_WINDOW = 256 * 1024

TRUSTED = H2Settings(
    max_streams=MAX_STREAMS,
    stream_window=STREAM_WINDOW,
    # As much as all streams together, so that readers that are slow never stop one that is not.
    connection_window=MAX_STREAMS * STREAM_WINDOW,
    field_bytes=1024 * 1024,  # above what edge admits (Go's and Caddy's limit), envelope included
    field_count=2048,
    field_table=64 * 1024,  # the facts of some hundred client connections travel as an index each
    continuations=128,
    resets=(1_000_000, 1_000_000),  # the resets of all clients of an edge come over one connection
    glitches=(1_000_000, 1_000_000),
)
"""Both ends of the hop are this program: limits are there to bound memory, not to fend off."""

_MAX_ADDRESSES = 1024
_log = structlog.get_logger("quantum.hop")


class _Failure(Response):
    """The answer that carries an HttpError home."""

    __slots__ = ("error",)

    def __init__(self, error: HttpError) -> None:
        super().__init__(error.status)
        self.error = error


class HopServer:
    """Serves the handlers of this process; one per process.

    It is the ``H2Application`` of all its connections: an envelope says everything itself.
    """

    def __init__(self, table: HandlerTable, token: str) -> None:
        self._table = table
        self._token = token.encode()
        self._facts = FactsCache()
        self._addresses: dict[bytes, Address] = {}
        self._connections: set[H2Server] = set()
        self._loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]  # set on connection
        self._server: asyncio.AbstractServer | None = None
        self.address = ""

    async def listen(self, address: str) -> None:
        """Take connections at ``address``; OSError when it cannot be had."""
        self._server, self.address = await listen(address, self.make_connection)

    def make_connection(self) -> H2Server:
        """Return the protocol for one more connection."""
        loop = self._loop = asyncio.get_running_loop()
        connection = H2Server(self, TRUSTED, loop, self._connections.discard, MuxCodec)
        self._connections.add(connection)
        return connection

    @property
    def open_requests(self) -> int:
        """Requests under way."""
        return sum(connection.open_streams for connection in self._connections)

    async def aclose(self, grace: float) -> None:
        """Take no more requests, finish those under way within ``grace`` seconds. Idempotent."""
        if self._server is None:
            return
        server, self._server = self._server, None
        remove_socket(self.address)  # before it closes: the name may be another process's after
        server.close()
        await asyncio.gather(*(c.aclose(grace) for c in list(self._connections)))
        await server.wait_closed()

    # What a connection asks.

    def accept(self, fields: Fields, body: AnyBody) -> tuple[Request, Handle]:
        """Open an envelope and find its handler; HttpError 502 for a wrong token, 404 or "revision lacking"."""
        lead = lead_of(fields)
        room, revision, path = self._addresses.get(lead) or self._address(lead)
        handler = self._table.find(room, revision, path)
        if handler is None:
            if not self._table.has_revision(room, revision):
                raise RevisionLackingError
            raise HttpError(404, f"room {room} has no handler at {path}")
        request = open_request(fields, body, self._facts, self._loop.time())
        return request, _acknowledge if is_probe(fields) else handler.handle

    def _address(self, lead: bytes) -> Address:
        """Return whom a lead names that was not met before; only those with the token are remembered."""
        token, address = parse_lead(lead)
        if not hmac.compare_digest(token, self._token):
            _log.warning("hop_token_refused")
            raise HttpError(502, "the token is not this deployment's")
        if len(self._addresses) >= _MAX_ADDRESSES:
            self._addresses.clear()
        self._addresses[lead] = address
        return address

    def head(self, request: Request | None, response: Response) -> Fields:
        """Spell a response's head."""
        if isinstance(response, _Failure):
            error = response.error
            return error_fields(error, retry=isinstance(error, RevisionLackingError))
        return response_fields(response)

    def failed(self, request: Request | None, error: HttpError) -> Response:
        """Carry an error home."""
        return _Failure(error)

    def ended(self, request: Request | None, response: Response | None, sent: int) -> None:
        """Nothing: the near end keeps the books."""


async def _acknowledge(request: Request) -> Response:
    """Answer a probe: the handler is here."""
    return Response(204)
