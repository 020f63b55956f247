"""HTTP/1.1 on a client connection (RFC 9112): requests in order, one answer each, nothing left unread.

Bytes that hold whole requests are answered in one turn of the loop and, when no handler waits for
anything, without a task and with one write. A request that waits makes the ones behind it wait in a
bounded buffer. Whatever breaks the framing ends the connection after its answer.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from quantum.errors import BodyAborted, HttpError
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.target import check_path
from quantum.replies import carry
from quantum.wire.h1.request import RequestHead, parse_head
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1_body import RequestBody, split_target, whole_body
from services.edge.protocols.h1_exchange import H1Exchange
from services.edge.protocols.pace import Transfer, read_pace

PIPELINE_BYTES = 64 * 1024
"""Requests read ahead of the one being handled; a client that sends more waits."""
TURN_REQUESTS = 64
"""Pipelined requests answered in one turn of the loop, before other connections have theirs."""
TUNNEL_SECONDS = 2.0
"""For what runs over an upgraded connection to say goodbye when its entrypoint closes: it may never
end by itself, and would hold up every stop for the whole grace period."""
HALF_CLOSED_SECONDS = 1.0
"""A client that ended its direction may only have nothing to add (RFC 9112 §9.6), but usually it is
gone: its request gets this long to be answered, then its handler is cancelled."""
_log = structlog.get_logger("quantum.edge")


class H1Connection(H1Exchange):
    """The protocol of one connection: the receiving half."""

    __slots__ = ()

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
        if self._busy or self._lingering or self.is_closed:
            return
        if self._buffer:
            self._in_head = False
            self._loop.call_soon(self._go_on)
        else:
            self._started = self._loop.time()
            self._await_next()

    def on_deadline(self) -> None:
        """Time is up for whatever the connection was waiting for."""
        self.deadline = NEVER
        if self._stream is not None or (self._lingering and not self.transport.is_closing()):
            self.abort()
        elif self._busy or self._write_paused or self._lingering:
            self._look()
        elif self._buffer:
            self.host.reached("read_header")
            self._refuse(HttpError(408, "the request head stopped coming"))
        else:
            self._close(linger=False)

    def _look(self) -> None:
        """Look at an exchange under way, or at what is left of its answer."""
        now, limits = self._loop.time(), self.host.site.limits
        if self._half_closed and self._busy and not self._head_sent:
            self.abort()
            return
        is_reading = self._body is not None and self._look_at_body(self._body, now)
        is_timed = self._write_paused or self._lingering or limits.write.whole > 0
        if is_timed and not self._look_at_writing(now):
            return
        if is_reading or is_timed:
            self.look_later()

    def _look_at_body(self, body: RequestBody, now: float) -> bool:
        """Fail a body that comes too slowly; return whether to look again."""
        if body.is_ended and not self._skipping:
            return False
        reading = self._reading
        assert reading is not None
        is_waiting = self._skipping or body.awaited_by is not None
        pace = read_pace(self.pace, self.host.site.limits.read)
        bound = reading.look(pace, body.received, now, is_waiting=is_waiting)
        if bound is None:
            return True
        self._closing = True
        self.host.reached(f"read_{bound}")
        if self._skipping:  # its answer has gone out already
            self.abort()
        else:
            body.fail(HttpError(408, f"the body came too slowly: read_{bound}"))
        return False

    def drain(self) -> None:
        """Close now when idle, else after the answer under way; a tunnel gets a moment."""
        self._closing = True
        if self._stream is not None:
            self.set_deadline(TUNNEL_SECONDS)
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
        site = self.host.site
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
            # Only who watches needs better than the loop's milliseconds; it is the same clock.
            self._started if site.ended is None else time.monotonic(),
            head.upgrade,
        )
        if head.odd is not None:
            request.odd = head.odd
        self._busy = True
        self._head_sent = self._in_head = False
        if site.limits.write.whole > 0:
            self.look_later()
        elif self._body is None:
            self.deadline = NEVER
        self._task = carry(self._serve(site, head, request), self._loop)

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
            self._reading = Transfer(self._started, body.received, self._started)
            self.look_later()
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
            return
        self._body = self._reading = None
        self._buffer = rest
        if self._skipping:
            self._skipping = False
            self._ready()

    def pause_body(self) -> None:
        """The handler is behind with its body."""
        self._pause_reading()

    def resume_body(self) -> None:
        """The handler caught up."""
        self._resume_reading()

    # Going on.

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
    odd = len(skipped) - skipped.count(b"\r\n") * 2
    if odd == 1 and not rest and skipped.endswith(b"\r"):
        return b"\r"  # half of one more
    return data if odd else rest
