"""A body whose client waits to be asked for it (RFC 9110 §10.1.1), as HTTP/2 and HTTP/3 have it."""

from __future__ import annotations

from collections.abc import Callable

from quantum.http.body import Body, StreamBody
from quantum.http.headers import Headers


class InvitedBody:
    """A Body that tells its client to go on when it is pulled for the first time.

    A request that is answered without its body leaves the client with it, as over HTTP/1.1; one whose
    client did not wait is not asked.
    """

    __slots__ = ("_body", "_invite", "length", "trailers")

    def __init__(self, body: Body, invite: Callable[[int, Headers], None]) -> None:
        """``invite`` sends an informational response."""
        self.length = body.length
        self.trailers: Headers | None = None
        self._body = body
        self._invite: Callable[[int, Headers], None] | None = invite

    def __aiter__(self) -> InvitedBody:
        return self

    async def __anext__(self) -> bytes:
        invite, self._invite = self._invite, None
        if invite is not None and not (isinstance(self._body, StreamBody) and self._body.received):
            invite(100, Headers())
        try:
            return await self._body.__anext__()
        except StopAsyncIteration:
            self.trailers = self._body.trailers
            raise

    async def aclose(self) -> None:
        """Give up what is left."""
        await self._body.aclose()
