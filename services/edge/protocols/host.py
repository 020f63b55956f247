"""What a connection asks of the entrypoint it came in by; the same for every HTTP version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from quantum.connection.h2 import WRITE_BYTES
from quantum.http.handler import Next
from quantum.http.message import ConnectionFacts, Request, Response
from services.edge.protocols.deadlines import Deadlines
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.pace import LOOK_SECONDS, Pace, look_seconds


@dataclass(frozen=True)
class Limits:
    """The bounds of one server's connections: bytes and seconds (0: none)."""

    max_head_bytes: int
    header: float
    idle: float
    read: Pace = field(default_factory=Pace)
    write: Pace = field(default_factory=Pace)
    shortest_of_routes: float = LOOK_SECONDS
    """The shortest of the times that routes set for themselves."""
    write_chunk: int = WRITE_BYTES
    """The most bytes of a body that are handed to the socket before it is asked whether it keeps up."""

    @cached_property
    def look(self) -> float:
        """Seconds between two looks at a connection whose requests are under way."""
        shortest = min(self.read.shortest, self.write.shortest, self.shortest_of_routes)
        return look_seconds(shortest)


@dataclass(frozen=True)
class Exchange:
    """One request that has ended: what the access log and the metrics want to know."""

    request: Request
    response: Response | None
    status: int
    sent: int
    seconds: float


@dataclass(frozen=True)
class Site:
    """One server of a configuration, compiled. Requests take the site that is current when they begin.

    ``before`` sees a request first (who is the client); ``fail`` turns an exception into an answer
    and never raises; ``ended`` hears of every exchange, None when nobody wants to.
    """

    name: str
    handle: Next
    fail: Callable[[Request, Exception], Awaitable[Response]]
    limits: Limits
    before: Callable[[Request], None] | None = None
    ended: Callable[[Exchange], None] | None = None
    trusts: Callable[[str], bool] = lambda _: False
    """Whether an address is one of ``trusted_proxies``, which stands for many clients."""

    @cached_property
    def answer(self) -> Next:
        """``handle``, after ``before``; what either raises is answered too."""
        return _answering(self.handle, self.fail, self.before)


def _answering(
    handle: Next,
    fail: Callable[[Request, Exception], Awaitable[Response]],
    before: Callable[[Request], None] | None,
) -> Next:
    async def answer(request: Request) -> Response:
        try:
            if before is not None:
                before(request)
            return await handle(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return await fail(request, error)

    return answer


class Host(Protocol):
    """The entrypoint, as its connections see it."""

    loop: asyncio.AbstractEventLoop
    site: Site
    stamps: Stamps
    deadlines: Deadlines
    is_draining: bool

    def joined(self, connection: HttpConnection) -> None:
        """A connection speaks HTTP now."""

    def handed_over(self, connection: HttpConnection) -> None:
        """Another protocol speaks on the same connection now, and has joined."""

    def left(self, connection: HttpConnection) -> None:
        """It is gone."""

    def reached(self, limit: str, peer: str = "") -> None:
        """A connection is cut, or a request refused, because of a limit; counted by its name.

        ``peer``: the address whose connection ends by it.
        """


class HttpConnection(Protocol):
    """A connection of any version, as its entrypoint sees it."""

    facts: ConnectionFacts

    def drain(self) -> None:
        """Take no new request; close when what runs has ended."""

    def abort(self) -> None:
        """Cut it."""
