"""A connection that begins with a PROXY header, or may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from quantum.net.address import peer_of
from services.edge.admission import Admission
from services.edge.listening.proxy_header import (
    End,
    MalformedHeader,
    ProxyHeader,
    read_header,
)
from services.edge.listening.wrapping import ProxyPolicy
from services.edge.protocols.deadlines import NEVER, Deadlines

Ends = tuple[End, End]
"""Peer and local address of a connection."""

_log = structlog.get_logger("quantum.edge")


class WrappedHost(Protocol):
    """What such a connection asks of its entrypoint."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    admission: Admission


class ProxiedConnection(asyncio.Protocol):
    """Reads the header, then makes way for the protocol that ``begin`` returns."""

    __slots__ = (
        "_begin",
        "_data",
        "_host",
        "_policy",
        "_transport",
        "deadline",
        "is_closed",
        "visit",
    )

    def __init__(
        self,
        host: WrappedHost,
        policy: ProxyPolicy,
        begin: Callable[[Ends | None], asyncio.Protocol],
    ) -> None:
        """``begin`` is handed the ends that the header told, None for the socket's own."""
        self._host = host
        self._policy = policy
        self._begin = begin
        self._data = b""
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set on connection
        self.is_closed = False
        self.deadline = NEVER
        self.visit = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the header; a peer whose headers are not looked for goes on at once."""
        self._transport = transport  # type: ignore[assignment]
        if self._what_holds() == "SKIP":
            self._go_on(None, b"")
        elif self._policy.timeout > 0:
            self.deadline = self._host.loop.time() + self._policy.timeout
            self._host.deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._data += data
        try:
            header = read_header(self._data)
        except MalformedHeader as error:
            self._refuse("malformed", str(error))
            return
        policy = self._what_holds()
        if header is False:
            if policy == "REQUIRE":
                self._refuse("missing", "no header")
            else:
                self._go_on(None, self._data)
        elif isinstance(header, ProxyHeader):
            if policy == "REJECT":
                self._refuse("untrusted", "a header from a peer that may not send one")
            else:
                is_believed = policy in {"USE", "REQUIRE"}
                self._go_on(_ends(header) if is_believed else None, self._data[header.size :])

    def eof_received(self) -> bool:
        """It ended before it began."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, or was given up."""
        self.is_closed = True
        self.deadline = NEVER
        self._host.admission.leave()

    def on_deadline(self) -> None:
        """The header took too long."""
        self._refuse("timeout", "no header in time")

    def _what_holds(self) -> str:
        return self._policy.for_peer(peer_of(self._transport.get_extra_info("peername"))[0])

    def _refuse(self, reason: str, problem: str) -> None:
        self.deadline = NEVER
        self._host.admission.reached(f"proxy_header_{reason}")
        _log.debug("proxy_header_refused", reason=problem)
        self._transport.abort()

    def _go_on(self, ends: Ends | None, rest: bytes) -> None:
        self.is_closed = True  # to the ticker: this object's time is over
        self.deadline = NEVER
        protocol = self._begin(ends)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if rest and not self._transport.is_closing():
            # The protocol may have changed again: a plain connection stands in for a moment only.
            current = self._transport.get_protocol()
            assert isinstance(current, asyncio.Protocol)
            current.data_received(rest)


def _ends(header: ProxyHeader) -> Ends | None:
    return (header.peer, header.local) if header.peer and header.local else None
