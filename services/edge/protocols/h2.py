"""HTTP/2 on a client connection (RFC 9113): the shared server, and what an edge guards it with.

The codec bounds what one frame or header block may do; ``H2Server`` bounds resets and the handlers
they leave behind. Here is what takes time: a connection without requests, and a client that takes
nothing of what it asked for (the window stall behind CVE-2026-49975).
"""

from __future__ import annotations

import asyncio

from quantum.connection.h2_server import H2Server
from quantum.http.message import ConnectionFacts
from quantum.wire.h2 import ENHANCE_YOUR_CALM, H2Settings
from services.edge.protocols.application import MAX_FIELDS, MAX_HEAD_BYTES, EdgeApplication
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.host import Host

CLIENT = H2Settings(
    # Twice what is answered with 431, so that an honest mistake is told and an attack is cut.
    field_bytes=2 * MAX_HEAD_BYTES,
    field_count=2 * MAX_FIELDS,
)
LOOK_SECONDS = 10.0
"""How often a connection is looked at: idle for how long, and did anything move."""
STALLED_LOOKS = 2
"""Looks without a byte of body taken, while some waits, after which a client is cut: 20 to 30 s."""


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
        self._idle_since = host.loop.time()
        self._stalled_looks = 0
        self._seen_moving = 0

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the entrypoint and say hello."""
        super().connection_made(transport)
        self.host.joined(self)
        self._look_later()

    def lost(self, failure: Exception) -> None:
        """Leave the entrypoint."""
        super().lost(failure)
        self.is_closed = True
        self.deadline = NEVER
        self.host.left(self)

    # Time.

    def _look_later(self) -> None:
        self.deadline = self.host.loop.time() + LOOK_SECONDS
        self.host.deadlines.watch(self)

    def on_deadline(self) -> None:
        """Look after the connection."""
        if self.is_lost:
            return
        now = self.host.loop.time()
        if self.open_streams:
            self._idle_since = now
            if self._is_stalled():
                self.host.reached("h2_stalled")
                self.cut(ENHANCE_YOUR_CALM)
                return
        elif self._is_idle(now):
            self.drain()
            return
        self._look_later()

    def _is_idle(self, now: float) -> bool:
        idle = self.host.site.limits.idle
        return idle > 0 and now - self._idle_since >= idle

    def _is_stalled(self) -> bool:
        """Whether the client has let its answers wait, all of them, for some looks."""
        moved = self.bytes_moved
        if moved != self._seen_moving or not self.codec.queued_bytes:
            self._seen_moving = moved
            self._stalled_looks = 0
            return False
        self._stalled_looks += 1
        return self._stalled_looks > STALLED_LOOKS

    # The end.

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()
