"""An HTTP/2 server connection: streams become Requests, Responses become frames.

How heads are read and written is the ``H2Application``'s business: the hop has its own fields, the
edge speaks to browsers. Everything else is here once: bodies with back-pressure both ways, 1xx,
trailers, tunnels, resets that cancel handlers, handlers whose failure resets, drain.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from quantum.connection.h2 import Codec, H2Connection, H2Stream, field_value, length_of, trailers_of
from quantum.connection.h2_tunnel import H2Tunnel
from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.body import HIGH_WATER, AnyBody, discard
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.replies import Carried, carry
from quantum.wire.allowance import Allowance
from quantum.wire.h2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    Fields,
    H2Codec,
    H2Failure,
    H2Settings,
    H2StreamGone,
)

NOTICE_SECONDS = 0.1
"""Between the two GOAWAYs of a drain: requests already on their way arrive in it (RFC 9113 §6.8)."""

_log = structlog.get_logger("quantum.connection")

Handle = Callable[[Request], Awaitable[Response]]


class H2Application(Protocol):
    """Turns heads into messages and back, for one connection."""

    def accept(self, fields: Fields, body: AnyBody) -> tuple[Request, Handle]:
        """Return the request of a head and who handles it; HttpError when it is refused."""

    def head(self, request: Request | None, response: Response) -> Fields:
        """Return the fields of a final response, ``:status`` first (200 for a switch of protocols)."""

    def failed(self, request: Request | None, error: HttpError) -> Response:
        """Return the answer for an error that ``accept`` or the handler raised."""

    def ended(self, request: Request | None, response: Response | None, sent: int) -> None:
        """Hear that an exchange is over, after ``sent`` bytes of body; None: nothing was answered."""


class ServerStream(H2Stream):
    """One request and its answer."""

    __slots__ = (
        "_fields", "_is_head_sent", "_pace", "_request", "_resets_when_sent", "_whole", "began", "is_tunnel",
        "server", "task",
    )  # fmt: skip

    def __init__(
        self, server: H2Server, stream_id: int, fields: Fields, whole: bytes = b""
    ) -> None:
        """``whole``: the body, if it came with the head."""
        super().__init__(server, stream_id)
        self._whole = whole
        self.server = server
        self.task: Carried | asyncio.Task[None] | None = None
        self._fields = fields
        self._is_head_sent = False
        self.began = 0.0
        """When its request was read, in the loop's time; 0 before."""
        self.is_tunnel = False
        self._resets_when_sent = False
        self._request: Request | None = None
        self._pace: Any = None

    @property
    def pace(self) -> Any:
        """What its route set for itself (``Request.pace``), None for nothing."""
        return self._pace if self._request is None else self._request.pace

    def expect_body(self) -> None:
        """Prepare for the bytes that follow the head."""
        self.open_body(length_of(self._fields))
        self.is_tunnel = field_value(self._fields, b":protocol") is not None

    def begin(self) -> None:
        """Start the handler; a body that came with its head is bytes."""
        body: AnyBody = self._whole
        if self.body is not None and not self.is_tunnel:
            whole = self.body.take_all()
            body = self.body if whole is None else whole
        self._whole = b""
        self.task = carry(self._run(body), self.server.loop)

    async def _run(self, body: AnyBody) -> None:
        request: Request | None = None
        response: Response | None = None
        application = self.server.application
        try:
            try:
                fields, self._fields = self._fields, ()  # the request has what it needs of them
                request, handle = application.accept(fields, body)
                self.began = request.started
                self._request = request
                request.informational = self._inform
                response = await handle(request)
            except HttpError as error:
                response = application.failed(request, error)
            body = response.body
            if (
                body.__class__ is bytes
                and len(body) <= HIGH_WATER
                and not (response.upgrade is not None or response.abort or self.is_closed)
            ):
                self._answer(request, response, body)
            else:
                await self._respond(request, response)
        except (BodyAborted, ClientGone, H2Failure):
            self._break_off()
        except Exception as error:  # noqa: BLE001 - a handler's defect ends its request, no more
            _log.exception("handler_failed", request=request and request.id)
            self._fail(request, error)
        finally:
            self._pace, self._request = self.pace, None
            if self.body is not None and not self.body.is_ended:
                await self.body.aclose()
            elif self._resets_when_sent and not self.is_closed:
                self.server.wait_for_output(self)
            self.server.stream_handled()
            application.ended(request, response if self._is_head_sent else None, self.sent)

    def _fail(self, request: Request | None, error: Exception) -> None:
        if self._is_head_sent or self.is_closed:
            self._break_off()
            return
        answer = self.server.application.failed(request, HttpError(500, repr(error)))
        body = answer.body if isinstance(answer.body, bytes) else b""
        try:
            self._send_head(request, answer, ended=not body)
        except H2Failure:
            return  # the stream went away meanwhile
        if body:
            self.end(body)

    def _break_off(self) -> None:
        """Reset, after what the windows let go: the peer shall see that an answer had begun."""
        if self._is_head_sent and not self.is_closed:
            self.server.flush()
        self.reset(INTERNAL_ERROR)

    async def _respond(self, request: Request | None, response: Response) -> None:
        body = response.body
        if self.is_closed:
            await discard(body)
            return
        if response.abort:
            await discard(body)
            self.reset(CANCEL)
        elif response.upgrade is not None:
            await self._switch(request, response)
        elif not body or _has_no_body(request, response):
            self._send_head(request, response, ended=True)
            await discard(body)
        else:
            self._send_head(request, response, ended=False)
            await self.send_body(body)

    def _answer(self, request: Request | None, response: Response, body: bytes) -> None:
        """Send an answer that is all here and fits: the usual one."""
        if not body or _has_no_body(request, response):
            self._send_head(request, response, ended=True)
        else:
            self._send_head(request, response, ended=True, body=body)
            self.sent += len(body)
            self.server.body_bytes += len(body)

    async def _switch(self, request: Request | None, response: Response) -> None:
        """Run the tunnel; it ends with its function."""
        if not self.is_tunnel or self.body is None or response.upgrade is None:
            raise RuntimeError("an upgrade was answered that nobody asked for")
        self._send_head(request, response, ended=False)
        try:
            await response.upgrade(H2Tunnel(self, self.body))
        except BodyAborted:
            self.reset(CANCEL)
        self.end()

    def _send_head(
        self, request: Request | None, response: Response, *, ended: bool, body: bytes = b""
    ) -> None:
        server = self.server
        fields = server.application.head(request, response)
        self._is_head_sent = True
        self.is_ended = ended
        if server.codec.respond(self.id, fields, ended, body):
            self.is_closed = True
            server.answered(self.id)
        server.wake()

    def _inform(self, status: int, headers: Headers) -> None:
        if self._is_head_sent or self.is_closed:
            return
        try:
            self.server.codec.inform(self.id, [(b":status", b"%d" % status), *headers.fields])
        except H2StreamGone:
            return
        self.server.wake()

    def _abandoned(self) -> None:
        """Stop a request body that nobody reads, after the whole answer has left (RFC 9113 §8.1).

        A reset is of both directions: before that it would take the answer along.
        """
        self._resets_when_sent = True
        if self.is_ended and not self.is_closed:
            self.server.wait_for_output(self)

    def output_moved(self) -> bool:
        """Hear that output left; return whether the stream waits for more."""
        if self._resets_when_sent and self.is_ended and not self.is_closed:
            if self.server.codec.queued(self.id):
                return True
            self.reset(NO_ERROR)
            return False
        return super().output_moved()

    def closed(self, error_code: int, failure: Exception | None = None) -> None:
        """Hear that the stream is over; cancel a handler whose answer cannot be sent any more."""
        super().closed(error_code, failure)
        if self.task is not None and not self.is_ended:
            self.task.cancel()


def _has_no_body(request: Request | None, response: Response) -> bool:
    return response.status in (204, 304) or (request is not None and request.method == "HEAD")


class H2Server(H2Connection):
    """The server's end of one connection."""

    def __init__(
        self,
        application: H2Application,
        settings: H2Settings,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[H2Server], None] | None = None,
        make_codec: type[Codec] = H2Codec,
    ) -> None:
        super().__init__("server", settings, loop, make_codec)
        self.application = application
        self._settings = settings
        self._on_lost = on_lost
        self._streams: dict[int, ServerStream] = {}
        self._fresh: deque[ServerStream] = deque()
        self._handling = 0
        self._is_draining = False
        self._gone: asyncio.Future[None] | None = None
        self._resets = Allowance(*settings.resets, loop.time())

    # What the codec says.

    def request_received(
        self, stream_id: int, fields: Fields, ended: bool, body: bytes = b""
    ) -> None:
        """Prepare a request; it starts when all that came with it is here."""
        stream = self._streams[stream_id] = ServerStream(self, stream_id, fields, body)
        if not ended:
            stream.expect_body()
        self._fresh.append(stream)

    def batch_received(self) -> None:
        """Start what came; a request that was reset in the same breath never starts."""
        if self._fresh:
            self._start_fresh()

    def _start_fresh(self) -> None:
        """Start requests while there are fewer handlers than streams allowed.

        There can be more where a client resets streams and opens others: handlers take a moment to
        give up, and what they asked of an upstream must not pile up there (CVE-2023-44487).
        """
        fresh, most = self._fresh, self._settings.max_streams
        while fresh and self._handling < most:
            stream = fresh.popleft()
            if not stream.is_closed:
                self._handling += 1
                stream.begin()

    def bytes_received(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Pass body bytes on."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.receive(data, ended)
        elif data:
            self.codec.consumed(stream_id, len(data))

    def trailers_received(self, stream_id: int, fields: Fields) -> None:
        """End a request body."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.body is not None:
            stream.body.finish(trailers_of(fields))

    def stream_closed(self, stream_id: int, error_code: int) -> None:
        """Forget a stream."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.closed(error_code)
        if error_code and not self._resets.spend(
            self.loop.time()
        ):  # whoever sent it: CVE-2025-8671
            self.end_for("h2_resets", ENHANCE_YOUR_CALM)

    def answered(self, stream_id: int) -> None:
        """Forget a stream that its answer has ended."""
        self._streams.pop(stream_id, None)

    def end_for(self, limit: str, error_code: int) -> None:
        """End the connection, telling the client why; ``limit`` names it for those who count."""
        self.codec.terminate(error_code)

    def lost(self, failure: Exception) -> None:
        """Cancel everything."""
        self.abandon_streams()
        if self._on_lost is not None:
            self._on_lost(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    # The end.

    def abandon_streams(self) -> None:
        """Cancel every handler: nothing can be answered any more."""
        streams, self._streams = self._streams, {}
        self._fresh.clear()
        for stream in streams.values():
            stream.closed(CANCEL, BodyAborted("the connection was lost"))

    def stream_handled(self) -> None:
        """Hear that a handler is done; one that waited for its place may start."""
        self._handling -= 1
        if self._fresh and not self.is_reading:
            self.loop.call_soon(self._start_fresh)

    @property
    def open_streams(self) -> int:
        """How many requests are under way."""
        return len(self._streams)

    @property
    def exchanges(self) -> list[ServerStream]:
        """Requests that are being handled; a tunnel, which may be silent for long, is none."""
        return [s for s in self._streams.values() if s.began and not s.is_tunnel]

    def drain(self) -> None:
        """Take no new streams; the connection closes when those under way have ended. Idempotent."""
        if self.is_lost or self._is_draining:
            return
        self._is_draining = True
        try:
            self.codec.notice_shutdown()
        except H2Failure:
            self.close()
            return
        self.wake()
        self.loop.call_later(NOTICE_SECONDS, self._say_goaway)

    def _say_goaway(self) -> None:
        if not self.is_lost:
            try:
                self.codec.goaway()
            except H2Failure:
                return
            self.wake()

    async def aclose(self, grace: float) -> None:
        """Drain, and cut what has not ended within ``grace`` seconds."""
        self.drain()
        if not self.is_lost:
            gone = self._gone = self.loop.create_future()
            await asyncio.wait([gone], timeout=grace + NOTICE_SECONDS)
        self.cut(NO_ERROR)

    def cut(self, error_code: int) -> None:
        """End every stream now, telling the client why."""
        if not self.is_lost:
            self.codec.terminate(error_code)
            self.flush()
            self.close()
