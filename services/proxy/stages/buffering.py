"""Bodies held back: read up to a limit before they go on (``request_buffers``, ``response_buffers``)."""

from __future__ import annotations

from quantum.http.body import AnyBody, Body
from quantum.http.headers import Headers
from services.proxy.config import BUFFER_ALL


class Rejoined:
    """A body whose beginning was read already."""

    __slots__ = ("_begun", "_rest", "length", "trailers")

    def __init__(self, begun: list[bytes], rest: Body) -> None:
        """``begun``: the chunks that were read, which ``rest`` has no more."""
        self._begun = begun[::-1]
        self._rest = rest
        self.length = rest.length
        self.trailers: Headers | None = None

    def __aiter__(self) -> Rejoined:
        return self

    async def __anext__(self) -> bytes:
        if self._begun:
            return self._begun.pop()
        try:
            return await self._rest.__anext__()
        except StopAsyncIteration:
            self.trailers = self._rest.trailers
            raise

    async def aclose(self) -> None:
        """Give up both."""
        self._begun.clear()
        await self._rest.aclose()


async def buffered(body: AnyBody, limit: int) -> AnyBody:
    """Return ``body`` once it has ended or more than ``limit`` bytes of it have come.

    A body that was read whole is bytes, unless trailers follow it. What breaks it is raised, and the
    body closed.
    """
    if isinstance(body, bytes):
        return body
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in body:
            chunks.append(chunk)
            size += len(chunk)
            if size > limit != BUFFER_ALL:
                return Rejoined(chunks, body)
    except BaseException:
        await body.aclose()
        raise
    return b"".join(chunks) if body.trailers is None else Rejoined(chunks, body)
