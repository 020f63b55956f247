"""One exchange on an HTTP/1.1 connection: the handler is asked, its answer framed and sent.

The middle of three halves, so to speak: ``H1Output`` writes, ``H1Connection`` receives.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.replies import Carried
from quantum.wire.h1.handshake import websocket_accept
from quantum.wire.h1.head import UnsafeField
from quantum.wire.h1.request import RequestHead
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1_body import RequestBody
from services.edge.protocols.h1_head import Framing, encode_head, encode_plain, encode_switch
from services.edge.protocols.h1_output import H1Output
from services.edge.protocols.h1_stream import UpgradedStream
from services.edge.protocols.host import Exchange, Host, Site
from services.edge.protocols.pace import Transfer

SKIPPED_BODY_BYTES = 256 * 1024
"""A body nobody wanted is read to its end up to this size (Go's bound); then closing is cheaper."""
JOINED_BODY = 32 * 1024
"""In-memory bodies up to this size are copied behind their head to go out in one write."""

_log = structlog.get_logger("quantum.edge")


class H1Exchange(H1Output):
    """Serves one request at a time; the receiving half says which, and what comes after."""

    __slots__ = (
        "_body", "_buffer", "_busy", "_closing", "_half_closed", "_head_sent", "_in_head", "_reading",
        "_shows_end", "_skipping", "_task",
    )  # fmt: skip

    def __init__(self, host: Host, facts: ConnectionFacts) -> None:
        super().__init__(host, facts)
        self._buffer = b""
        self._busy = False
        self._body: RequestBody | None = None
        self._skipping = False
        self._task: Carried | asyncio.Task[None] | None = None
        self._closing = False
        self._head_sent = self._shows_end = False
        self._half_closed = False
        self._in_head = True
        self._reading: Transfer | None = None

    async def _serve(self, site: Site, head: RequestHead, request: Request) -> None:
        response: Response | None = None
        self._request = request
        try:
            if not head.http_1_0:
                request.informational = self.send_informational
            try:
                if site.before is not None:
                    site.before(request)
                response = await site.handle(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                response = await site.fail(request, error)
            if response.body.__class__ is bytes and response.upgrade is None and not response.abort:
                rest = self._send_whole(head, response)
                if rest:
                    await self._write_large(rest, self.write_chunk)
            else:
                await self._send(head, request, response)
        except BodyAborted:
            self._break_off()
        except ClientGone:
            self.abort()
        except Exception as error:  # noqa: BLE001 - as above, but maybe too late for a status
            self._crash(head, request, error)
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._end(site, request, response)

    def _send_whole(self, head: RequestHead, response: Response) -> bytes:
        """Send an answer that is all in memory; return the body if it is too large for one write."""
        body = response.body
        if head.is_plain and self._may_stay(response) and len(body) <= JOINED_BODY:  # type: ignore[arg-type]
            plain = encode_plain(response, body, self.host.stamps)  # type: ignore[arg-type]
            if plain is not None:
                self._head_sent = True
                self._sent = len(body)  # type: ignore[arg-type]
                self._write(plain)
                return b""
        framing, data = self._encode(head, response)
        if framing.sends_body:
            if len(body) > JOINED_BODY:  # type: ignore[arg-type]
                self._write(data)
                return body  # type: ignore[return-value]
            self._sent = len(body)  # type: ignore[arg-type]
            data += body  # type: ignore[operator]
        self._write(data)
        return b""

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
        self._shows_end = framing.chunked or framing.length is not None
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
            rest = self._send_whole(head, response)
            await self._write_large(rest, self.write_chunk)
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
        self._shows_end = False
        self.deadline = NEVER
        stream = self._stream = UpgradedStream(self.transport, self._loop)
        rest, self._buffer = self._buffer, b""
        self._resume_reading()
        if rest:
            stream.feed(rest)
        await response.upgrade(stream)

    def _break_off(self) -> None:
        """No more of the body comes. What came is the client's, if the framing shows that the rest is missing."""
        if self._head_sent and self._shows_end:
            self._closing = True
        else:
            self.abort()

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
        self._pace, self._request = request.pace, None
        if site.ended is not None:
            seconds = max(0.0, time.monotonic() - request.started)
            status = 499 if response is None else response.status
            site.ended(Exchange(request, response, status, self._sent, seconds))
        if self.is_closed:
            return
        body = self._body
        if self._closing or self._half_closed:
            unread = body is not None or bool(self._buffer)
            if body is not None:
                body.skip()
            self._buffer, self._body, self._busy = b"", None, False
            self._close(linger=unread and self._stream is None and not self._half_closed)
        elif body is not None:
            self._skipping = True
            body.skip()
            self._resume_reading()
            self.look_later()
        else:
            self._ready()

    def _ready(self) -> None:
        self._busy = False
        if self._read_paused:
            self._resume_reading()
        if self._corked:
            return
        self._started = self._loop.time()  # from here on it is idle
        if self._buffer:
            self._loop.call_soon(self._go_on)
        else:
            self._await_next()

    def _await_next(self) -> None:
        """Wait for another request, if there may be one."""
        if self._closing or self.host.is_draining:
            self._close(linger=False)
            return
        self._in_head = False
        if self._write_paused:
            return  # the client takes an answer still; ``resume_writing`` comes back here
        idle = self.host.site.limits.idle
        self.deadline = self._started + idle if idle > 0 else NEVER
        if self.deadline < self.visit:
            self.host.deadlines.watch(self)

    def _go_on(self) -> None:
        """Overridden by the receiving half."""
