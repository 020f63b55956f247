"""HTTP/2 on a client connection (RFC 9113): the shared server, and what an edge guards it with.

The codec bounds what one frame or header block may do; ``H2Server`` bounds resets and the handlers
they leave behind. Here is what takes time: a connection without requests, and a client that takes
nothing of what it asked for (the window stall behind CVE-2026-49975).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from quantum.connection.h2_server import H2Server, ServerStream
from quantum.errors import HttpError
from quantum.http.message import ConnectionFacts
from quantum.net.reset import reset
from quantum.net.tls_transport import say_no_more
from quantum.wire.h2 import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, H2Failure, H2Settings
from quantum.wire.h2_guard import FrameGuard
from services.edge.offenders import FLOODS
from services.edge.protocols.application import MAX_FIELDS, MAX_HEAD_BYTES, EdgeApplication
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.h1_output import LINGER_BYTES, LINGER_SECONDS
from services.edge.protocols.host import Host, Limits
from services.edge.protocols.pace import (
    Pace,
    Sample,
    Transfers,
    look_seconds,
    read_pace,
    write_pace,
)

CLIENT = H2Settings(
    # Twice what is answered with 431, so that an honest mistake is told and an attack is cut.
    field_bytes=2 * MAX_HEAD_BYTES,
    field_count=2 * MAX_FIELDS,
)
LONGEST_CLOSE_SECONDS = 60.0
"""For what was written to leave before a closed connection is cut, where no write timeout is set."""
FLOOD_SECONDS = 2.0
"""How long a client that was told to calm down is left to itself before it is cut: what it still sends
waits in its own buffers and costs nobody, and who connects again when it is cut does so less often."""
STALLED_SECONDS = 20.0
"""For how long a client may take no byte of what waits for it; noticed by a look: 20 to 30 s."""


class H2Connection(H2Server):
    """The protocol of one client connection."""

    def __init__(self, host: Host, facts: ConnectionFacts) -> None:
        application = EdgeApplication(host, facts, "HTTP/2.0")
        super().__init__(application, CLIENT, host.loop)
        self.host = host
        self.facts = facts
        self.is_closed = False
        self.deadline = NEVER
        self.visit = NEVER
        self._guard = FrameGuard(CLIENT, host.loop.time, lambda: self.bytes_moved)
        self._idle_since = host.loop.time()
        self._reading: Transfers[ServerStream] = Transfers()
        self._writing: Transfers[ServerStream] = Transfers()
        self.write_bytes = host.site.limits.write_chunk
        self._moved_at = self._head_since = self._idle_since
        self._seen_moving = 0
        self._is_ending = self._is_failing = self._is_gone = False
        self._is_lingering = self._is_flooding = False
        self._lingered = 0
        self._closing: asyncio.TimerHandle | None = None

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the entrypoint and say hello."""
        super().connection_made(transport)
        self.host.joined(self)
        self._look_later()

    def data_received(self, data: bytes) -> None:
        """Read on; after the end only so that the client gets to hear of it."""
        if not self._is_lingering:
            super().data_received(data)
            return
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self.abort()

    def take_in(self, data: bytes) -> None:
        """Look at the frames, then let the codec read those that may be."""
        guard, codec = self._guard, self.codec
        start, size = 0, len(data)
        while start < size and guard.offence is None:
            end = guard.examine(data, start)
            codec.receive(data if end - start == size else data[start:end])
            start = end
        if guard.offence is not None:
            self.end_for(guard.offence.limit, guard.offence.code)

    def end_for(self, limit: str, error_code: int) -> None:
        """Count the limit that ends the connection."""
        self._count(limit)
        super().end_for(limit, error_code)

    def connection_closed(self, error_code: int) -> None:
        """Count the limits that the codec keeps by itself."""
        if error_code == ENHANCE_YOUR_CALM:
            self._count("h2_frames")
        if error_code != NO_ERROR:
            self._is_ending = True
            self.loop.call_soon(self.abandon_streams)
        super().connection_closed(error_code)

    def _count(self, limit: str) -> None:
        """Count the first limit that was reached: the connection ends by it."""
        if not self._is_ending:
            self._is_ending = True
            self._is_flooding = limit in FLOODS
            self.host.reached(limit, self.facts.peer[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection is over: of the socket itself, or ahead of it when it failed."""
        self._is_gone |= not self._is_failing
        super().connection_lost(exc)

    def lost(self, failure: Exception) -> None:
        """Leave the entrypoint."""
        super().lost(failure)
        if self._closing is not None and not self._is_lingering:
            self._closing.cancel()
        self.is_closed = True
        self.deadline = NEVER
        self.host.left(self)

    # Time.

    def _look_later(self) -> None:
        limits = self.host.site.limits
        self.deadline = self.host.loop.time() + min(limits.look, look_seconds(limits.header))
        self.host.deadlines.watch(self)

    def on_deadline(self) -> None:
        """Look after the connection."""
        if self.is_lost:
            return
        now, limits = self.host.loop.time(), self.host.site.limits
        if self._is_late(now, limits.header):
            self._count("read_header")
            self.cut(ENHANCE_YOUR_CALM)
        elif self.open_streams:
            self._idle_since = now
            self._look_at_exchanges(now, limits)
            if self._is_stalled(now):
                self._count("h2_stalled")
                self.cut(ENHANCE_YOUR_CALM)
        elif self._is_idle(now):
            self.drain()
        if not self.is_lost:
            self._look_later()

    def _look_at_exchanges(self, now: float, limits: Limits) -> None:
        """End what comes, or is taken, too slowly."""
        exchanges = self.exchanges
        for stream, bound in self._reading.look(_requests(exchanges, limits.read), now):
            self.host.reached(f"read_{bound}")
            assert stream.body is not None
            stream.body.fail(HttpError(408, f"the body came too slowly: read_{bound}"))
        for stream, bound in self._writing.look(_answers(exchanges, limits.write), now):
            self.host.reached(f"write_{bound}")
            stream.reset(CANCEL)

    def _is_late(self, now: float, limit: float) -> bool:
        """Whether a head was begun too long ago."""
        if not self._guard.is_in_head:
            self._head_since = now
        return 0 < limit <= now - self._head_since

    def _is_idle(self, now: float) -> bool:
        limits = self.host.site.limits
        limit = limits.idle if self._guard.has_asked else limits.header
        return limit > 0 and now - self._idle_since >= limit

    def _is_stalled(self, now: float) -> bool:
        """Whether the client has let its answers wait, all of them, for too long."""
        moved = self.bytes_moved
        if moved != self._seen_moving or not self.codec.queued_bytes:
            self._seen_moving = moved
            self._moved_at = now
        return now - self._moved_at > STALLED_SECONDS

    # The end.

    def fail(self, failure: Exception) -> None:
        """End the connection for a reason."""
        if isinstance(failure, H2Failure) and failure.code == ENHANCE_YOUR_CALM:
            self._count("h2_heads")
        self._is_ending = self._is_failing = True
        super().fail(failure)
        self._is_failing = False

    def close(self) -> None:
        """Close; a client that may be sending still is heard out, or the reset would overtake GOAWAY.

        One that takes nothing of what was written would hold the socket for ever.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_lingering:
            return
        seconds = LINGER_SECONDS
        if not self._is_ending:
            limit = self.host.site.limits.write.idle
            seconds = limit if limit > 0 else LONGEST_CLOSE_SECONDS
            super().close()
        else:
            self._is_lingering = True
            if self._is_flooding:
                transport.pause_reading()
                seconds = FLOOD_SECONDS
            else:
                say_no_more(transport)
        self._closing = self.loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None and not self._is_gone:
            reset(self._transport)


def _requests(streams: list[ServerStream], server: Pace) -> Iterator[Sample[ServerStream]]:
    for stream in streams:
        body = stream.body
        if body is not None and not body.is_ended:
            is_waiting, pace = body.awaited_by is not None, read_pace(stream.pace, server)
            yield Sample(stream, stream.began, body.received, is_waiting, pace)


def _answers(streams: list[ServerStream], server: Pace) -> Iterator[Sample[ServerStream]]:
    for stream in streams:
        queued = stream.connection.codec.queued(stream.id)
        pace = write_pace(stream.pace, server)
        yield Sample(stream, stream.began, stream.sent - queued, queued > 0, pace)
