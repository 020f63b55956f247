"""One HTTP/3 exchange: a request stream, its handler and its answer.

The counterpart of HTTP/2's stream. Received bytes give window back as they are read. Written bytes
wait while too many are unacknowledged: aioquic would buffer without end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import structlog
from aioquic.h3.connection import ErrorCode

from quantum.connection.h2 import field_value, length_of, trailers_of
from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.body import AnyBody, StreamBody, discard
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.replies import Carried, carry

if TYPE_CHECKING:
    from services.edge.protocols.h3.connection import H3ServerConnection
    from services.edge.protocols.pace import RoutePace

SEND_HIGH_WATER = 256 * 1024
"""Unacknowledged bytes at which a writer waits: what a path of 20 ms and 100 Mbit/s holds in flight."""

_log = structlog.get_logger("quantum.edge.h3")


class H3Exchange:
    """One request and its answer."""

    __slots__ = (
        "_application", "_connection", "_drained", "_fields", "_is_cut", "_is_ended", "_is_head_sent",
        "_request", "began", "body", "id", "is_tunnel", "sent", "task", "was_told_to_stop",
    )  # fmt: skip

    def __init__(self, connection: H3ServerConnection, stream_id: int, fields: list[Field]) -> None:
        self.id = stream_id
        self.body: StreamBody | None = None
        self.task: Carried | asyncio.Task[None] | None = None
        self._connection = connection
        self._application = connection.application
        self._fields = fields
        self._request: Request | None = None
        self.is_tunnel = False
        self.began = connection.loop.time()
        self.sent = 0
        """Bytes of body that were queued."""
        self._drained: asyncio.Future[None] | None = None
        self._is_head_sent = False
        self._is_ended = False
        self._is_cut = False
        self.was_told_to_stop = False
        """Whether the client was asked to send no more of its request."""

    @property
    def pace(self) -> RoutePace | None:
        """What its route set for itself."""
        return None if self._request is None else cast("RoutePace | None", self._request.pace)

    # What the connection tells.

    def expect_body(self) -> None:
        """Prepare for the bytes that follow the head."""
        self.body = StreamBody(
            length_of(self._fields), consumed=self._consumed, abandoned=self._abandoned
        )
        self.is_tunnel = field_value(self._fields, b":protocol") is not None

    def begin(self) -> None:
        """Start the handler; a body that came with its head is bytes, and what a tunnel carries is none."""
        body: AnyBody = b""
        if self.body is not None and not self.is_tunnel:
            whole = self.body.take_all()
            body = self.body if whole is None else whole
        self.task = carry(self._run(body), self._connection.loop)

    def receive(self, data: bytes) -> None:
        """Pass a piece of the request body on."""
        if self.body is not None:
            self.body.feed(data)

    def request_ended(self, trailers: list[Field] | None) -> None:
        """End the request body."""
        if self.body is not None:
            self.body.finish(trailers_of(trailers) if trailers is not None else None)

    def request_reset(self) -> None:
        """Hear that the client cut its request: a handler that still reads it fails."""
        if self.body is not None:
            self.body.fail(BodyAborted("the client reset its request"))

    def too_slow(self) -> None:
        """Give up an answer that the client does not take."""
        self.reset(ErrorCode.H3_REQUEST_CANCELLED)
        self.response_unwanted()

    def response_unwanted(self) -> None:
        """Hear STOP_SENDING, or that the connection is gone: nobody takes an answer."""
        self._is_cut = True
        self.request_reset()
        self.output_moved()
        if self.task is not None and not self._is_ended:
            self.task.cancel()

    def output_moved(self) -> bool:
        """Hear that the peer acknowledged something; return whether the writer still waits."""
        waiter = self._drained
        if waiter is None or waiter.done():
            return False
        if not self._is_cut and self._connection.quic.unsent(self.id) > SEND_HIGH_WATER // 2:
            return True
        waiter.set_result(None)
        return False

    # What the handler causes.

    def _consumed(self, count: int) -> None:
        self._connection.consumed(self.id, count)

    def _abandoned(self) -> None:
        """Tell the client to stop sending a body that nobody reads."""
        if not self._is_cut:
            self.was_told_to_stop = True
            self._connection.stop_receiving(self.id, ErrorCode.H3_NO_ERROR)

    async def _run(self, body: AnyBody) -> None:
        request: Request | None = None
        response: Response | None = None
        application = self._application
        try:
            try:
                fields, self._fields = self._fields, []  # the request has what it needs of them
                request, handle = application.accept(fields, body)
                self._request = request
                request.informational = self._inform
                response = await handle(request)
            except HttpError as error:
                response = application.failed(request, error)
            await self._respond(request, response)
        except (BodyAborted, ClientGone):
            self.reset(ErrorCode.H3_INTERNAL_ERROR)
        except Exception as error:  # noqa: BLE001 - a handler's defect ends its request, no more
            _log.exception("handler_failed", request=request and request.id)
            self._fail(request, error)
        finally:
            if self.body is not None and not self.body.is_ended:
                await self.body.aclose()
            self._connection.exchange_ended(self.id)
            application.ended(request, response if self._is_head_sent else None, self.sent)

    def _fail(self, request: Request | None, error: Exception) -> None:
        if self._is_head_sent or self._is_cut:
            self.reset(ErrorCode.H3_INTERNAL_ERROR)
            return
        answer = self._application.failed(request, HttpError(500, repr(error)))
        self._send_head(
            request, answer, answer.body if isinstance(answer.body, bytes) else b"", True
        )

    async def _respond(self, request: Request | None, response: Response) -> None:
        body = response.body
        if self._is_cut or response.abort:
            await discard(body)
            self.reset(ErrorCode.H3_REQUEST_CANCELLED)
        elif response.upgrade is not None:
            await self._switch(request, response)
        elif response.status in (204, 304) or (request is not None and request.method == "HEAD"):
            self._send_head(request, response, b"", True)
            await discard(body)
        elif isinstance(body, bytes) and len(body) <= SEND_HIGH_WATER:
            self._send_head(request, response, body, True)
        else:
            self._send_head(request, response, b"", False)
            await self._send_body(body)

    async def _send_body(self, body: AnyBody) -> None:
        if isinstance(body, bytes):
            await self.write(body)
            self.end()
            return
        try:
            async for chunk in body:
                await self.write(chunk)
        except BaseException:
            await discard(body)
            raise
        self.end(body.trailers)

    async def _switch(self, request: Request | None, response: Response) -> None:
        """Run a tunnel (RFC 9220); it ends with its function."""
        if not self.is_tunnel or self.body is None or response.upgrade is None:
            raise RuntimeError("an upgrade was answered that nobody asked for")
        self._send_head(request, response, b"", False)
        try:
            await response.upgrade(H3Tunnel(self, self.body))
        except BodyAborted:
            self.reset(ErrorCode.H3_REQUEST_CANCELLED)
        self.end()

    def _send_head(
        self, request: Request | None, response: Response, body: bytes, ended: bool
    ) -> None:
        self._is_head_sent = True
        self._is_ended = ended
        fields = self._application.head(request, response)
        self.sent = len(body)
        self._connection.send(self.id, fields, body, ended)

    def _inform(self, status: int, headers: Headers) -> None:
        if not self._is_head_sent and not self._is_cut:
            fields = [(b":status", b"%d" % status), *headers.fields]
            self._connection.send(self.id, fields, b"", False)

    async def write(self, data: bytes) -> None:
        """Queue bytes, then wait while too many are unacknowledged; BodyAborted when cut."""
        if self._is_cut:
            raise BodyAborted("the client wants no more")
        self.sent += len(data)
        self._connection.send(self.id, None, data, False)
        while self._connection.quic.unsent(self.id) > SEND_HIGH_WATER:
            self._drained = self._connection.loop.create_future()
            self._connection.wait_for_output(self)
            try:
                await self._drained
            finally:
                self._drained = None
            if self._is_cut:
                raise BodyAborted("the client wants no more")

    def end(self, trailers: Headers | None = None) -> None:
        """End our direction. Idempotent."""
        if not self._is_ended and not self._is_cut:
            self._is_ended = True
            fields = trailers.fields if trailers is not None and len(trailers) else None
            self._connection.send(self.id, fields, b"", True)

    def reset(self, code: int) -> None:
        """Cut our direction. Idempotent."""
        if not self._is_cut and not self._is_ended:
            self._is_cut = True
            self._connection.reset(self.id, code)


class H3Tunnel:
    """The two directions of an extended CONNECT stream."""

    __slots__ = ("_body", "_exchange")

    def __init__(self, exchange: H3Exchange, body: StreamBody) -> None:
        self._exchange = exchange
        self._body = body

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the client's end; BodyAborted when it was cut."""
        try:
            return await self._body.__anext__()
        except StopAsyncIteration:
            return b""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client is slow."""
        if data:
            await self._exchange.write(data)

    async def write_end(self) -> None:
        """End our direction."""
        self._exchange.end()

    def abort(self) -> None:
        """Cut both directions."""
        self._exchange.reset(ErrorCode.H3_REQUEST_CANCELLED)
        self._body.fail(BodyAborted("the tunnel was cut"))
