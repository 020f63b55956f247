"""HTTP/2 without TLS by prior knowledge (RFC 9113 §3.3): the first bytes say which version it is.

Only where ``protocols`` has "h2c". The upgrade from HTTP/1.1 is not spoken: RFC 9113 has dropped it.
"""

from __future__ import annotations

import asyncio
from typing import cast

from quantum.http.message import ConnectionFacts
from services.edge.protocols.h1 import H1Connection
from services.edge.protocols.h2 import H2Connection
from services.edge.protocols.host import Host

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 client sends first; no HTTP/1.1 request begins like it (RFC 9113 §3.4)."""
SILENCE_SECONDS = 60.0
"""How long a client may take for its first bytes where no header timeout is configured."""


class Undecided(asyncio.Protocol):
    """A connection whose client has not said enough yet."""

    __slots__ = ("_early", "_host", "_timer", "_transport", "facts")

    def __init__(self, host: Host, facts: ConnectionFacts) -> None:
        self._host = host
        self.facts = facts
        self._early = b""
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set on connection
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, for as long as a head may take."""
        self._transport = cast("asyncio.Transport", transport)
        self._host.joined(self)
        limit = self._host.site.limits.header or SILENCE_SECONDS
        self._timer = self._host.loop.call_later(limit, self.abort)

    def data_received(self, data: bytes) -> None:
        """Decide as soon as a byte tells; then hand over what came."""
        self._early += data
        start = self._early[: len(PREFACE)]
        if start == PREFACE:
            self._hand_over(H2Connection(self._host, self.facts))
        elif not PREFACE.startswith(start):
            self._hand_over(H1Connection(self._host, self.facts))

    def connection_lost(self, error: Exception | None) -> None:
        """The client left without a word."""
        self._stop_waiting()
        self._host.left(self)

    def drain(self) -> None:
        """Close: nothing was asked."""
        self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    def _hand_over(self, protocol: H1Connection | H2Connection) -> None:
        self._stop_waiting()
        transport, self._transport = self._transport, cast("asyncio.Transport", None)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)  # joins before this one leaves: it is the same client
        self._host.handed_over(self)
        protocol.data_received(self._early)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
