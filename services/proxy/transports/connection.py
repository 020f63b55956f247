"""One HTTP/1.1 connection to an upstream, without a task of its own: the loop's callbacks drive it.

It carries one exchange at a time. An answer that is complete in one read becomes a Response with
bytes and costs one future; a longer one becomes a StreamBody that the client pulls. When the answer
has ended the connection tells ``on_end`` whether it may be used again: only after an exchange whose
request was sent whole and whose answer ended exactly where it said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from quantum.errors import BodyAborted, QuantumError
from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from quantum.http.message import Response, SendInformational
from quantum.net.tls_client import last_words
from quantum.net.tls_transport import was_cut_short
from quantum.replies import Reply
from quantum.wire.h1.response import BadResponse, ResponseReader
from services.proxy.transports.failure import Stage, UpstreamFailed
from services.proxy.transports.fastcgi.reply import ReplyReader


@dataclass(frozen=True)
class Limits:
    """What a connection bounds; seconds, 0 for no bound."""

    max_head_bytes: int
    header_timeout: float = 0.0
    read_timeout: float = 0.0
    write_timeout: float = 0.0
    continue_timeout: float = 0.0
    """How long a body waits for a 100 (Continue); 0: it does not ask."""


OnClose = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """A client connection. Only one that ``is_fit`` may begin an exchange.

    It is fit before its first exchange, and after each that ended exactly where it said it would.
    """

    __slots__ = (
        "_answered", "_asked", "_body", "_drained", "_early", "_heard", "_limits", "_loop", "_lost",
        "_on_close", "_on_end", "_paused", "_reader", "_sending", "_serial", "_timer", "_waiter",
        "idle_since", "is_fit", "stream", "transport",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_close: OnClose,
        reader: ReplyReader | None = None,
    ) -> None:
        """``on_close`` hears once when the connection is gone, whatever the cause; ``reader``: of FastCGI."""
        self._loop = loop
        self._limits = limits
        self._on_close = on_close
        self._reader = reader or ResponseReader(limits.max_head_bytes)
        self._serial = 0
        self._waiter: Reply[Response] | None = None
        self._body: StreamBody | None = None
        self._on_end: Callable[[], None] | None = None
        self._early: SendInformational | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._asked: asyncio.Future[None] | None = None
        self._paused = False
        self._sending = False
        self._answered = True
        self._lost = False
        self.is_fit = False
        self._heard = 0.0
        self.idle_since = 0.0
        self.stream: StreamBody | None = None
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set on connection

    @property
    def is_reused(self) -> bool:
        """Whether an exchange before the present one was completed here."""
        return self._serial > 1

    # An exchange.

    def begin(
        self,
        method: str,
        head: bytes,
        upgrade: bool,
        early: SendInformational | None,
        timeout: float,
    ) -> Reply[Response]:
        """Send ``head`` (and what follows it already); returns the answer to come, or UpstreamFailed.

        Cancelling its waiter does not end the exchange: ``abort`` does. ``early`` hears of 1xx.
        """
        self._serial += 1
        self._reader.expect(method, upgrade=upgrade)
        self._answered = self.is_fit = False
        self._early = early
        waiter = self._waiter = Reply(self._loop)
        self.transport.write(head)
        limit = self._limits.header_timeout
        if timeout or limit:
            limit = min(limit or timeout, timeout or limit)
            self._timer = self._loop.call_later(limit, self._header_late)
        return waiter

    def when_ended(self, on_end: Callable[[], None]) -> None:
        """Call ``on_end`` once when the streamed answer or the tunnel has ended; at once if it has."""
        if self._lost or (self._body is None and self.stream is None):
            on_end()
        else:
            self._on_end = on_end

    def sending(self, is_under_way: bool) -> None:
        """Say that the request's body is still being sent: until it is, nobody else may send."""
        self._sending = is_under_way

    @property
    def asks_first(self) -> bool:
        """Whether the upstream is asked before a body is sent, where the client does so, too."""
        return self._limits.continue_timeout > 0

    async def go_ahead(self) -> bool:
        """Wait until the upstream asks for the body (RFC 9110 §10.1.1); False when it has answered without it."""
        reader = self._reader
        if not (self._answered or reader.continued or reader.has_head):
            asked = self._asked = self._loop.create_future()
            timer = self._loop.call_later(self._limits.continue_timeout, _let, asked)
            try:
                await asked
            finally:
                timer.cancel()
                self._asked = None
        return not (self._answered or reader.has_head)

    @property
    def is_answered(self) -> bool:
        """Whether the whole answer has come."""
        return self._answered

    async def write(self, data: bytes) -> None:
        """Send more; waits while the upstream is slow. UpstreamFailed when it is gone or too slow."""
        if self._lost:
            raise UpstreamFailed(Stage.SENT, "connection closed while the request was sent")
        self.transport.write(data)
        if self.transport.is_closing():
            # The loop tells the loss; a body that never waits would hold it up for ever.
            await asyncio.sleep(0)
        if self._paused:
            await self._drain()

    async def _drain(self) -> None:
        self._drained = self._loop.create_future()
        limit = self._limits.write_timeout
        timer = self._loop.call_later(limit, self._write_late) if limit else None
        try:
            await self._drained
        finally:
            self._drained = None
            if timer is not None:
                timer.cancel()

    def fail(self, failure: QuantumError) -> None:
        """End the exchange with ``failure`` and close the connection. Does nothing after its end."""
        if self._answered:
            return
        self.abort()
        waiter, self._waiter = self._waiter, None
        if self._body is not None:
            self._body.fail(BodyAborted(f"upstream: {failure}"))
        self._end()
        if waiter is not None and not waiter.done():
            waiter.set_exception(failure)

    def end_writing(self) -> bool:
        """Half-close a tunnel; False where that cannot be (TLS): then only a full close ends it."""
        if self._lost or not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def abort(self) -> None:
        """Close at once, without flushing. Idempotent."""
        self.is_fit = self._reader.keep_alive = False
        if not self._lost and self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        self.is_fit = self._reader.keep_alive = False
        self.transport.close()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's is a Transport by contract
        self.is_fit = True

    def data_received(self, data: bytes) -> None:
        """Read the answer on."""
        if self.stream is not None:
            self.stream.feed(data)
            return
        if self._answered:
            self.abort()  # bytes nobody asked for: where the next answer begins would be a guess
            return
        reader = self._reader
        try:
            reader.feed(data)
        except BadResponse as error:
            self.fail(UpstreamFailed(Stage.SENT, str(error)))
            return
        if reader.informational:
            self._pass_informational()
        if self._asked is not None and (reader.continued or reader.has_head):
            _let(self._asked)
        if self._body is not None:
            self._go_on(self._body)
        elif reader.has_head:
            self._answer()

    def eof_received(self) -> bool:
        """Take the upstream's end; a tunnel stays open in our direction."""
        if self.stream is not None:
            self.stream.finish()
            return self.transport.get_extra_info("ssl_object") is None
        self._ended()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End what is under way; tell the owner."""
        self._lost = True
        self.is_fit = False
        if self.stream is not None:
            self.stream.fail(BodyAborted("upstream closed the tunnel"))
        elif not self._answered:
            if error is None:
                self._ended()
            else:
                self._hear_last_words()
                self.fail(self._broken(f"connection lost: {error}"))
        self.resume_writing()
        self._tell_owner()
        self._on_close(self)

    def _hear_last_words(self) -> None:
        """Read what came before a failed write: a peer that wants no more of a request resets, after its answer.

        The loop closes a connection whose write fails without looking at what has arrived on it.
        """
        if self.transport.get_extra_info("ssl_object") is None:  # else the session has read them
            words = last_words(self.transport)
            if words:
                self.data_received(words)

    def pause_writing(self) -> None:
        """Hold back writers."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._paused = False
        if self._drained is not None:
            _let(self._drained)

    # The answer.

    def _answer(self) -> None:
        """The head is there: answer with the bytes, or with a stream if there is more to come."""
        reader, waiter = self._reader, self._waiter
        response = Response(reader.status, Headers(reader.fields))
        self._waiter = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if reader.is_complete and reader.trailers is None:
            chunks = reader.chunks
            if chunks:
                response.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._answered = True
            self.is_fit = reader.keep_alive and not self._sending
            if reader.upgraded is not None:
                self._become_stream(reader.upgraded)
        else:
            response.body = self._stream_body()
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _stream_body(self) -> StreamBody:
        serial = self._serial
        body = self._body = StreamBody(
            self._reader.length,
            pause=partial(self._pause_reading, serial),
            resume=partial(self._resume_reading, serial),
            abandoned=partial(self._abandoned, serial),
        )
        if self._limits.read_timeout:
            self._timer = self._loop.call_later(self._limits.read_timeout, self._check_silence)
        self._go_on(body)
        return body

    def _go_on(self, body: StreamBody) -> None:
        reader = self._reader
        if self._timer is not None:
            self._heard = self._loop.time()
        if reader.chunks:
            for chunk in reader.chunks:
                body.feed(chunk)
            reader.chunks = []
        if reader.is_complete:
            body.finish(Headers(reader.trailers) if reader.trailers else None)
            self._end()

    def _become_stream(self, first: bytes) -> None:
        serial = self._serial
        self.stream = StreamBody(
            pause=partial(self._pause_reading, serial),
            resume=partial(self._resume_reading, serial),
            abandoned=self.abort,
        )
        if first:
            self.stream.feed(first)

    def _pass_informational(self) -> None:
        for status, fields in self._reader.informational:
            if self._early is not None:
                self._early(status, Headers(fields))
        self._reader.informational = []

    # Ends.

    def _end(self) -> None:
        """The exchange is over, well or not: free the connection for the next, tell the owner."""
        self._answered = True
        self.is_fit = self._reader.keep_alive and not self._sending and not self._lost
        self._body = None
        self._early = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lost and not self.transport.is_closing():
            self.transport.resume_reading()
        self._tell_owner()

    def _tell_owner(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def _ended(self) -> None:
        """The upstream has closed: that may complete a body, else it fails the exchange."""
        if self._answered:
            self.is_fit = False
            return
        if was_cut_short(self.transport):
            self.fail(self._broken("connection lost: the TLS session ended without close_notify"))
            return
        try:
            self._reader.feed_eof()
        except BadResponse as error:
            self.fail(self._broken(str(error)))
            return
        if self._body is not None:
            self._go_on(self._body)

    def _broken(self, reason: str) -> UpstreamFailed:
        unseen = self.is_reused and not self._reader.has_bytes
        return UpstreamFailed(Stage.STALE if unseen else Stage.SENT, reason)

    def _header_late(self) -> None:
        self._timer = None
        self.fail(UpstreamFailed(Stage.SENT, "timeout awaiting response headers", 504))

    def _write_late(self) -> None:
        self.fail(UpstreamFailed(Stage.SENT, "timeout sending the request", 504))
        self.abort()

    def _check_silence(self) -> None:
        """Fail a body whose sender is silent; not one that waits for its reader."""
        body, limit = self._body, self._limits.read_timeout
        self._timer = None
        if body is None:
            return
        silent = 0.0 if body.buffered else self._loop.time() - self._heard
        if silent >= limit:
            self.fail(UpstreamFailed(Stage.SENT, "timeout reading the response body", 504))
            return
        self._timer = self._loop.call_later(limit - silent, self._check_silence)

    def _pause_reading(self, serial: int) -> None:
        if serial == self._serial and not self._lost:
            self.transport.pause_reading()

    def _resume_reading(self, serial: int) -> None:
        # The body of an exchange that has ended is still read while the next one is under way.
        if serial == self._serial and not self._lost and not self.transport.is_closing():
            self.transport.resume_reading()

    def _abandoned(self, serial: int) -> None:
        if serial == self._serial and not self._answered:
            self.fail(UpstreamFailed(Stage.SENT, "the client stopped reading"))


def _let(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
