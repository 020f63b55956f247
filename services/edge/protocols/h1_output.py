"""The sending half of an HTTP/1.1 connection: one write for what belongs together, and a clean end."""

from __future__ import annotations

import asyncio

from quantum.errors import BodyAborted, ClientGone
from quantum.http.body import Body
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.net.reset import reset
from quantum.net.tls_transport import say_no_more
from quantum.wire.h1.head import CONTINUE, encode_chunk, encode_last_chunk, encode_response_head
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1_head import Framing
from services.edge.protocols.h1_stream import UpgradedStream
from services.edge.protocols.host import Host
from services.edge.protocols.pace import RoutePace, Transfer, write_pace

CORK_BYTES = 64 * 1024
"""Answers gathered before they are written: more than one socket buffer gains nothing."""
JOINED_CHUNK = 16 * 1024
"""Chunks up to one TLS record are copied to go out with their frame; longer ones are not copied."""
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before the connection is cut (RFC 9112 §9.6)."""
LINGER_BYTES = 1024 * 1024
"""And how much: closing a socket with unread bytes would destroy the answer on its way."""


class H1Output(asyncio.Protocol):
    """Writes, waits for a slow client, ends. The receiving half is ``H1Connection``."""

    __slots__ = (
        "_corked", "_drained", "_lingered", "_lingering", "_loop", "_out", "_out_size",
        "_pace", "_read_paused", "_request", "_sent", "_started", "_stream", "_write_paused", "_writing", "deadline", "facts",
        "host", "is_closed", "transport", "visit",
    )  # fmt: skip

    def __init__(self, host: Host, facts: ConnectionFacts) -> None:
        self.host = host
        self.facts = facts
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set on connection
        self.is_closed = False
        self.deadline = NEVER
        self.visit = NEVER
        self._loop = host.loop
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._corked = False
        self._sent = 0
        self._write_paused = False
        self._read_paused = False
        self._started = 0.0
        self._writing: Transfer | None = None
        self._drained: asyncio.Future[None] | None = None
        self._lingering = False
        self._lingered = 0
        self._stream: UpgradedStream | None = None
        self._request: Request | None = None
        self._pace: RoutePace | None = None

    # Deadlines.

    @property
    def pace(self) -> RoutePace | None:
        """What the route of the present request, or of the last one, set for itself."""
        return self._pace if self._request is None else self._request.pace

    def set_deadline(self, seconds: float) -> None:
        """Let ``on_deadline`` be called ``seconds`` from now (0 or less: never)."""
        if seconds <= 0:
            self.deadline = NEVER
            return
        self.deadline = self._loop.time() + seconds
        if self.deadline < self.visit:
            self.host.deadlines.watch(self)

    def look_later(self) -> None:
        """See to it that ``on_deadline`` looks at what is under way."""
        self.set_deadline(self.host.site.limits.look)

    def on_deadline(self) -> None:
        """Overridden by the receiving half."""

    def _look_at_writing(self, now: float) -> bool:
        """Cut a client that takes its answer too slowly; return whether it may go on."""
        moved = self._sent - self.transport.get_write_buffer_size()
        writing = self._writing
        if writing is None or writing.began != self._started:
            writing = self._writing = Transfer(self._started, moved, now)
        pace = write_pace(self.pace, self.host.site.limits.write)
        is_waiting = self._write_paused or self._lingering
        bound = writing.look(pace, moved, now, is_waiting=is_waiting)
        if bound is not None:
            self.host.reached(f"write_{bound}")
            self.abort()
        return bound is None

    # Writing.

    def _write(self, data: bytes | memoryview) -> None:
        if self.is_closed:
            raise ClientGone("the client closed the connection")
        if not self._corked:
            self.transport.write(data)
            return
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size > CORK_BYTES:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self._out_size = 0
            if not self.is_closed:
                self.transport.write(data)

    @property
    def write_chunk(self) -> int:
        """The most bytes of a body that are handed to the socket before it is asked whether it keeps up."""
        own = self.pace
        return (0 if own is None else own.write_chunk) or self.host.site.limits.write_chunk

    async def _send_body(self, body: Body, framing: Framing) -> None:
        """Pull ``body`` to its end; raises BodyAborted when it is not as long as the head said."""
        length, sent, most = framing.length, 0, self.write_chunk
        try:
            async for chunk in body:
                sent += len(chunk)
                if length is not None and sent > length:
                    raise BodyAborted(f"the body is longer than its {length} bytes")
                if len(chunk) > most:
                    await self._write_large(chunk, most, is_chunk=framing.chunked)
                elif framing.chunked:
                    self._write_chunk(chunk)
                else:
                    self._write(chunk)
                self._sent = sent
                if self._write_paused:
                    await self._drain()
        finally:
            await body.aclose()
        if length is not None and sent != length:
            raise BodyAborted(f"the body ended after {sent} of {length} bytes")
        if framing.chunked:
            self._write(encode_last_chunk(body.trailers or ()))

    def _write_chunk(self, chunk: bytes) -> None:
        if len(chunk) <= JOINED_CHUNK:
            self._write(encode_chunk(chunk))
        else:
            self._write(b"%x\r\n" % len(chunk))
            self._write(chunk)
            self._write(b"\r\n")

    async def _write_large(self, data: bytes, most: int, *, is_chunk: bool = False) -> None:
        """Write ``data`` in pieces of ``most`` bytes, waiting for the client between them."""
        if is_chunk:
            self._write(b"%x\r\n" % len(data))
        view = memoryview(data)
        for start in range(0, len(data), most):
            self._write(view[start : start + most])
            self._sent += min(most, len(data) - start)
            if self._write_paused:
                await self._drain()
        if is_chunk:
            self._write(b"\r\n")

    async def _drain(self) -> None:
        while self._write_paused and not self.is_closed:
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        if self.is_closed:
            raise ClientGone("the client closed the connection")

    def send_continue(self) -> None:
        """Ask for the body."""
        if not self.is_closed:
            self._write(CONTINUE)

    def send_informational(self, status: int, headers: Headers) -> None:
        """Send an interim response (1xx other than 101) before the final one."""
        if not self.is_closed and 100 <= status < 200 and status != 101:
            self._write(encode_response_head(status, headers))

    # Back-pressure; the transport calls the first two.

    def pause_writing(self) -> None:
        """The client is slow."""
        self._write_paused = True
        if self._stream is not None:
            self._stream.set_write_paused(True)
        else:
            self._begin_writing()

    def _begin_writing(self) -> None:
        """Watch how fast the client takes what waits for it."""
        now = self._loop.time()
        if self._writing is None or self._writing.began != self._started:
            moved = self._sent - self.transport.get_write_buffer_size()
            self._writing = Transfer(self._started, moved, now)
        if self.deadline > now + self.host.site.limits.look:  # each pause must not put the look off
            self.look_later()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._write_paused = False
        if self._stream is not None:
            self._stream.set_write_paused(False)
        elif self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused:
            self._read_paused = False
            if not self.is_closed:
                self.transport.resume_reading()

    # The end.

    def abort(self) -> None:
        """Cut the connection: the client sees a reset, never a clean end."""
        self._out.clear()
        if not self.is_closed:
            reset(self.transport)

    def _close(self, *, linger: bool) -> None:
        """Close after what is written. ``linger``: the client may still be sending; hear it out."""
        self._flush()
        if self.is_closed:
            return
        self._lingering = True
        if not linger:
            self.transport.close()
            if not self.is_closed:  # a client that takes nothing would hold the rest for ever
                self._begin_writing()
            return
        self._resume_reading()
        say_no_more(self.transport)
        self.set_deadline(LINGER_SECONDS)

    def _linger(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self.transport.abort()
