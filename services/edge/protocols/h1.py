"""HTTP/1.1 on a client connection (RFC 9112): requests in order, one answer each, nothing left unread.

Bytes that hold whole requests are answered in one turn of the loop and, when no handler waits for
anything, without a task and with one write. A request that waits makes the ones behind it wait in a
bounded buffer. Whatever breaks the framing ends the connection after its answer.
"""

from __future__ import annotations

import asyncio

import structlog

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.http.target import check_path
from quantum.tasks import drive
from quantum.wire.h1.handshake import websocket_accept
from quantum.wire.h1.head import UnsafeField
from quantum.wire.h1.request import RequestHead, parse_head
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1_body import RequestBody, split_target, whole_body
from services.edge.protocols.h1_head import Framing, encode_head, encode_plain, encode_switch
from services.edge.protocols.h1_output import H1Output
from services.edge.protocols.h1_stream import UpgradedStream
from services.edge.protocols.host import Exchange, Host, Site

PIPELINE_BYTES = 64 * 1024
"""Requests read ahead of the one being handled; a client that sends more waits."""
TURN_REQUESTS = 64
"""Pipelined requests answered in one turn of the loop, before other connections have theirs."""
SKIPPED_BODY_BYTES = 256 * 1024
"""A body nobody wanted is read to its end up to this size (Go's bound); then closing is cheaper."""
HALF_CLOSED_SECONDS = 1.0
"""A client that ended its direction may only have nothing to add (RFC 9112 §9.6), but usually it is
gone: its request gets this long to be answered, then its handler is cancelled."""
JOINED_BODY = 32 * 1024
"""In-memory bodies up to this size are copied behind their head to go out in one write."""

_log = structlog.get_logger("quantum.edge")


class H1Connection(H1Output):
    """The protocol of one connection; see ``H1Output`` for the sending half."""

    __slots__ = (
        "_body", "_buffer", "_busy", "_closing", "_half_closed", "_head_sent", "_in_head",
        "_skipping", "_started", "_task",
    )  # fmt: skip

    def __init__(self, host: Host, facts: ConnectionFacts) -> None:
        super().__init__(host, facts)
        self._buffer = b""
        self._busy = False
        self._body: RequestBody | None = None
        self._skipping = False
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._head_sent = False
        self._half_closed = False
        self._in_head = True
        self._started = 0.0

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, as long as its head may take."""
        self.transport = transport  # type: ignore[assignment]
        self.host.joined(self)
        self.set_deadline(self.host.site.limits.header)

    def data_received(self, data: bytes) -> None:
        """Bytes came: a request, a body, a pipelined request, a tunnel's, or too late."""
        if self._busy:
            self._receive_busy(data)
        elif self._lingering:
            self._linger(data)
        else:
            self._advance(self._buffer + data if self._buffer else data)

    def eof_received(self) -> bool:
        """The client will send no more; True keeps our direction open."""
        self._half_closed = True
        if self._stream is not None:
            self._stream.feed_end()
            return True
        if not self._busy or self._skipping:
            return False
        if self._body is not None:
            self._body.fail(BodyAborted("the client ended in the middle of its body"))
        if not self._head_sent:
            self.set_deadline(HALF_CLOSED_SECONDS)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: so is the wish for an answer."""
        self.is_closed = True
        self.deadline = NEVER
        self.host.left(self)
        self._buffer = b""
        if self._body is not None:
            self._body.fail(BodyAborted("the client closed the connection"))
        if self._stream is not None:
            self._stream.fail()
        elif self._task is not None:
            self._task.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def resume_writing(self) -> None:
        """Go on with what waited for the client."""
        super().resume_writing()
        if not self._busy and self._buffer:
            self._loop.call_soon(self._go_on)

    def on_deadline(self) -> None:
        """Time is up for whatever the connection was waiting for."""
        self.deadline = NEVER
        if self._lingering or self._write_paused:
            self.abort()
        elif self._body is not None and not self._body.is_ended:
            self._closing = True
            self._body.fail(HttpError(408, "the body stopped coming"))
        elif self._busy:
            if self._half_closed and not self._head_sent:
                self.abort()
        elif self._buffer:
            self._refuse(HttpError(408, "the request head stopped coming"))
        else:
            self._close(linger=False)

    def drain(self) -> None:
        """Close now when idle, else after the answer under way."""
        self._closing = True
        if not self._busy and not self._buffer and not self._lingering:
            self._close(linger=False)

    # Receiving.

    def _advance(self, data: bytes) -> None:
        """Begin the requests in ``data`` until one has to wait; keep the rest."""
        self._corked = True
        self._buffer = data
        self._started = self._loop.time()
        turns = TURN_REQUESTS
        try:
            while self._buffer and not self._write_paused and self._begin_next():
                turns -= 1
                if not turns:
                    self._loop.call_soon(self._go_on)
                    break
        finally:
            self._corked = False
            self._flush()
        if not self._busy and not self._buffer and not self._lingering and not self.is_closed:
            self._await_next()

    def _await_next(self) -> None:
        """Wait for another request, if there may be one."""
        if self._closing or self.host.is_draining:
            self._close(linger=False)
            return
        self._in_head = False
        idle = self.host.site.limits.idle
        self.deadline = self._started + idle if idle > 0 else NEVER
        if self.deadline < self.visit:
            self.host.deadlines.watch(self)

    def _begin_next(self) -> bool:
        """Begin the request at the head of the buffer; False when it has to wait, or the end came."""
        data = self._buffer
        if data[0] == 13:
            data = self._buffer = _skip_empty_lines(data)
        end = data.find(b"\r\n\r\n")
        limit = self.host.site.limits.max_head_bytes
        if end < 0 or end > limit:
            self._await_head(data, limit)
            return False
        try:
            head = parse_head(data[:end])
            self._begin(head, data[end + 4 :])
        except HttpError as error:
            self._refuse(error)
        return not self._busy and not self._lingering and not self.is_closed

    def _await_head(self, data: bytes, limit: int) -> None:
        """Wait for the rest of a head, unless it is clear already that it will not do."""
        if len(data) > limit:
            target_only = b"\r\n" not in data[:limit]
            self._refuse(HttpError(414 if target_only else 431, f"head exceeds {limit} bytes"))
        elif data and data.count(b"\n") != data.count(b"\r\n"):
            self._refuse(HttpError(400, "bare LF in the head"))
        elif data and not 33 <= data[0] <= 126 and data != b"\r":
            self._refuse(HttpError(400, "not HTTP"))
        elif not self._in_head:  # the time for a head runs from its first byte
            self._in_head = True
            self.set_deadline(self.host.site.limits.header)

    def _begin(self, head: RequestHead, rest: bytes) -> None:
        path, query = split_target(head.target)
        if "%" in path or "\\" in path:
            check_path(path)
        body: bytes | RequestBody = b""
        if head.length != 0:
            body, rest = self._open_body(head, rest)
        self._buffer = rest
        request = Request(
            head.method,
            self.facts.scheme,
            head.authority,
            path,
            query,
            Headers(head.fields),
            body,
            self.facts,
            "HTTP/1.0" if head.http_1_0 else "HTTP/1.1",
            self._started,
            head.upgrade,
        )
        self._busy = True
        self._head_sent = self._in_head = False
        if self._body is None:
            self.deadline = NEVER
        self._task = drive(self._serve(self.host.site, head, request), self._loop)

    def _open_body(self, head: RequestHead, rest: bytes) -> tuple[bytes | RequestBody, bytes]:
        """Return the body, as bytes when all of it is here, and what follows it."""
        whole = whole_body(head, rest)
        if whole is not None:
            return whole
        body = RequestBody(head, self)
        if rest:
            rest = body.take(rest)
        if not body.is_received:
            self._body = body
            self.set_deadline(self.host.site.limits.read_idle)
        return body, rest

    def _receive_busy(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.feed(data)
        elif self._body is not None:
            self._receive_body(self._body, data)
        else:
            self._buffer += data
            if len(self._buffer) > PIPELINE_BYTES:
                self._pause_reading()

    def _receive_body(self, body: RequestBody, data: bytes) -> None:
        try:
            rest = body.take(data)
        except HttpError as error:
            self._body = None
            self._closing = True
            body.fail(error)
            if self._skipping:
                self._close(linger=True)
            return
        if not body.is_received:
            if not self._read_paused:
                self.set_deadline(self.host.site.limits.read_idle)
            return
        self._body = None
        self._buffer = rest
        self.deadline = NEVER
        if self._skipping:
            self._skipping = False
            self._ready()

    def pause_body(self) -> None:
        """The handler is behind with its body."""
        self._pause_reading()
        self.deadline = NEVER

    def resume_body(self) -> None:
        """The handler caught up."""
        self._resume_reading()
        if self._body is not None:
            self.set_deadline(self.host.site.limits.read_idle)

    # One exchange.

    async def _serve(self, site: Site, head: RequestHead, request: Request) -> None:
        response: Response | None = None
        try:
            if site.before is not None:
                site.before(request)
            if not head.http_1_0:
                request.informational = self.send_informational
            try:
                response = await site.handle(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                response = await site.fail(request, error)
            if response.body.__class__ is bytes and response.upgrade is None and not response.abort:
                self._send_whole(head, response)
            else:
                await self._send(head, request, response)
        except (BodyAborted, ClientGone):
            self.abort()
        except Exception as error:  # noqa: BLE001 - as above, but maybe too late for a status
            self._crash(head, request, error)
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._end(site, request, response)

    def _send_whole(self, head: RequestHead, response: Response) -> None:
        body = response.body
        if head.is_plain and self._may_stay(response) and len(body) <= JOINED_BODY:  # type: ignore[arg-type]
            plain = encode_plain(response, body, self.host.stamps)  # type: ignore[arg-type]
            if plain is not None:
                self._head_sent = True
                self._sent = len(body)  # type: ignore[arg-type]
                self._write(plain)
                return
        framing, data = self._encode(head, response)
        if framing.sends_body:
            self._sent = len(body)  # type: ignore[arg-type]
            if self._sent <= JOINED_BODY:
                data += body  # type: ignore[operator]
            else:
                self._write(data)
                data = body  # type: ignore[assignment]
        self._write(data)

    def _encode(self, head: RequestHead, response: Response) -> tuple[Framing, bytes]:
        close = self._closing or response.close or not head.keep_alive or self._must_close(head)
        data, framing = encode_head(
            response,
            self.host.stamps,
            is_head=head.method == "HEAD",
            http_1_0=head.http_1_0,
            close=close,
        )
        self._closing = framing.close
        self._head_sent = True
        self._sent = 0
        return framing, data

    def _may_stay(self, response: Response) -> bool:
        """Whether nothing speaks against another exchange on this connection."""
        return not (
            self._closing
            or response.close
            or self._half_closed
            or self._body is not None
            or self.host.is_draining
        )

    def _must_close(self, head: RequestHead) -> bool:
        """Whether the connection cannot go on after this exchange, so that the head must say so."""
        if self.host.is_draining or self._half_closed:
            return True
        if head.upgrade is not None and self._buffer:
            return True  # bytes of the refused protocol would be read as a request (RFC 9931)
        body = self._body
        if body is None:
            return False
        return body.awaits_continue or body.left is None or body.left > SKIPPED_BODY_BYTES

    async def _send(self, head: RequestHead, request: Request, response: Response) -> None:
        """Send what is not simply bytes: a pulled body, a switch of protocols, nothing at all."""
        body = response.body
        if response.abort:
            self.abort()
            if not isinstance(body, bytes):
                await body.aclose()
        elif response.upgrade is not None:
            await self._switch(head, response)
        elif isinstance(body, bytes):
            self._send_whole(head, response)
        else:
            try:
                framing, data = self._encode(head, response)
                self._write(data)
            except BaseException:
                await body.aclose()
                raise
            if framing.sends_body:
                await self._send_body(body, framing)
            else:
                await body.aclose()

    async def _switch(self, head: RequestHead, response: Response) -> None:
        if head.upgrade is None or response.upgrade is None:
            raise HttpError(500, "a handler switched protocols that the client did not ask for")
        accept = websocket_accept(head.websocket_key) if head.websocket_key else b""
        self._write(encode_switch(response, head.upgrade, accept, self.host.stamps))
        self._flush()
        self._corked = False
        self._head_sent = self._closing = True
        self.deadline = NEVER
        stream = self._stream = UpgradedStream(self.transport, self._loop)
        rest, self._buffer = self._buffer, b""
        self._resume_reading()
        if rest:
            stream.feed(rest)
        await response.upgrade(stream)

    def _crash(self, head: RequestHead, request: Request, error: Exception) -> None:
        """An answer could not be sent as the handler made it."""
        if isinstance(error, UnsafeField | HttpError) and not self._head_sent:
            _log.error("response_unsendable", request_id=request.id, reason=str(error))
            self._closing = True
            self._send_whole(head, Response(500))
            return
        _log.error("response_failed", request_id=request.id, exc_info=error)
        self.abort()

    def _end(self, site: Site, request: Request, response: Response | None) -> None:
        """The exchange is over: close, skip what is left of its body, or turn to the next."""
        self._task = None
        if site.ended is not None:
            seconds = self._loop.time() - request.started
            status = 499 if response is None else response.status
            site.ended(Exchange(request, response, status, self._sent, seconds))
        if self.is_closed:
            return
        body = self._body
        if self._closing or self._half_closed:
            unread = body is not None or bool(self._buffer)
            self._buffer, self._body, self._busy = b"", None, False
            self._close(linger=unread and self._stream is None and not self._half_closed)
        elif body is not None:
            self._skipping = True
            body.skip()
            self._resume_reading()
            self.set_deadline(site.limits.read_idle)
        else:
            self._ready()

    def _ready(self) -> None:
        self._busy = False
        if self._read_paused:
            self._resume_reading()
        if self._corked:
            return
        if self._buffer:
            self._loop.call_soon(self._go_on)
        else:
            self._await_next()

    def _go_on(self) -> None:
        """Turn to what came in while an exchange was under way, in a fresh turn of the loop."""
        if not self._busy and not self.is_closed and not self._lingering:
            self._advance(self._buffer)

    def _refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read; nothing after it can be trusted."""
        _log.debug(
            "request_refused", peer=self.facts.peer[0], status=error.status, reason=error.reason
        )
        head = RequestHead("GET")
        self._buffer = b""
        self._closing = True
        self._send_whole(head, Response(error.status, Headers(list(error.headers))))
        self._close(linger=True)


def _skip_empty_lines(data: bytes) -> bytes:
    """Drop CRLFs before a request (RFC 9112 §2.2); anything else there is left to be refused."""
    rest = data.lstrip(b"\r\n")
    skipped = data[: len(data) - len(rest)]
    return rest if skipped.count(b"\r\n") * 2 == len(skipped) else data
