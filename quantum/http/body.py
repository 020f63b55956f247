"""Message bodies: bytes when they are in memory already, else a pulled stream.

Back-pressure is the absence of a pull: a producer that is not asked produces nothing, and a codec
that is ahead of its reader stops reading its socket. ``StreamBody`` is the bridge from a codec that
is pushed bytes to a reader that pulls them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from quantum.errors import BodyAborted
from quantum.http.headers import Headers

HIGH_WATER = 64 * 1024
"""Bytes that a StreamBody holds before it asks its producer to pause: one H2 window, one TCP read."""


class Body(Protocol):
    """A body that is pulled chunk by chunk. One reader, once; ``aclose`` at any time, always.

    ``length`` is the number of bytes when known in advance. ``trailers`` is set once iteration has
    ended. Iteration raises BodyAborted when the sender did not get to the end.
    """

    length: int | None
    trailers: Headers | None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: a body is its own iterator."""

    async def __anext__(self) -> bytes:
        """Return the next chunk, never empty."""

    async def aclose(self) -> None:
        """Give up what is left: tells the sender that nobody reads on. Idempotent."""


AnyBody = bytes | Body


class StreamBody:
    """A body whose bytes are pushed by a codec and pulled by a handler.

    ``pause`` and ``resume`` tell the producer to stop and go on (both called at most once per
    change); ``consumed`` hears of each chunk that was pulled (HTTP/2 gives window back then);
    ``abandoned`` is called when the reader closes before the end.
    """

    __slots__ = (
        "_abandoned",
        "_chunks",
        "_consumed",
        "_ended",
        "_failure",
        "_pause",
        "_paused",
        "_resume",
        "_size",
        "_waiter",
        "length",
        "received",
        "trailers",
    )  # fmt: skip

    def __init__(
        self,
        length: int | None = None,
        *,
        pause: Callable[[], None] | None = None,
        resume: Callable[[], None] | None = None,
        consumed: Callable[[int], None] | None = None,
        abandoned: Callable[[], None] | None = None,
    ) -> None:
        self.length = length
        self.trailers: Headers | None = None
        self.received = 0
        """Bytes that the producer has fed, whether anybody wanted them or not."""
        self._pause = pause
        self._resume = resume
        self._consumed = consumed
        self._abandoned = abandoned
        self._chunks: list[bytes] = []  # always taken whole; an empty deque has 600 bytes
        self._size = 0
        self._ended = False
        self._paused = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What the producer calls.

    def feed(self, data: bytes) -> None:
        """Add a chunk (not empty). After ``finish``, ``fail`` or the reader's ``aclose``: dropped."""
        self.received += len(data)
        if self._ended:
            if self._consumed is not None:
                self._consumed(len(data))
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= HIGH_WATER and not self._paused and self._pause is not None:
            self._paused = True
            self._pause()
        self._wake()

    def finish(self, trailers: Headers | None = None) -> None:
        """Mark the proper end."""
        if not self._ended:
            self.trailers = trailers
            self._ended = True
            self._wake()

    def fail(self, failure: Exception) -> None:
        """Mark an end that came too early: chunks already here are still read, then it raises."""
        if not self._ended:
            self._failure = failure
            self._ended = True
            self._wake()

    @property
    def is_ended(self) -> bool:
        """Whether the producer is done, well or not, or the reader gave up."""
        return self._ended

    @property
    def buffered(self) -> int:
        """Bytes held and not yet pulled."""
        return self._size

    @property
    def awaited_by(self) -> object | None:
        """What a reader waits by for the next bytes, None when none waits: another one each time."""
        return None if self._waiter is None or self._waiter.done() else self._waiter

    def take_all(self) -> bytes | None:
        """Return a body that is complete already as bytes (then it is used up); None otherwise."""
        if not self._ended or self._failure is not None or self.trailers is not None:
            return None
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._pulled(self._size)
        return data

    # What the reader calls.

    def __aiter__(self) -> StreamBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            await self._arrival()
        return self._take()

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the proper end: what tunnels wait by, thousands of them at once."""
        while not self._chunks:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return b""
            await self._arrival()
        return self._take()

    def _take(self) -> bytes:
        chunks = self._chunks
        if len(chunks) == 1:
            data = chunks.pop()
        else:  # one wake-up and one write for what came in many frames
            data = b"".join(chunks)
            chunks.clear()
        self._pulled(len(data))
        return data

    async def aclose(self) -> None:
        """Drop what is buffered; tell the producer if it was not done."""
        dropped, self._size = self._size, 0
        self._chunks.clear()
        was_ended, self._ended = self._ended, True
        if dropped and self._consumed is not None:
            self._consumed(dropped)
        if not was_ended:
            self._failure = BodyAborted("closed by its reader")
            self._wake()
            if self._abandoned is not None:
                self._abandoned()

    def _pulled(self, count: int) -> None:
        self._size -= count
        if self._consumed is not None and count:
            self._consumed(count)
        if self._paused and self._size < HIGH_WATER // 2:
            self._paused = False
            if self._resume is not None:
                self._resume()

    def _arrival(self) -> asyncio.Future[None]:
        """Return what to await for more: a future, not a coroutine that would cost each waiting tunnel."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class BodyAround:
    """A body that is another one but for what a subclass does to its chunks."""

    __slots__ = ("_body", "length")

    def __init__(self, body: Body) -> None:
        self._body = body
        self.length = body.length

    @property
    def trailers(self) -> Headers | None:
        """The trailers of the body inside."""
        return self._body.trailers

    @trailers.setter
    def trailers(self, trailers: Headers | None) -> None:
        self._body.trailers = trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await self._body.__anext__()

    async def aclose(self) -> None:
        """Give up what is left."""
        await self._body.aclose()


async def read_all(body: AnyBody, limit: int) -> bytes:
    """Return the whole body; ValueError when it is longer than ``limit`` bytes (it is closed then)."""
    if isinstance(body, bytes):
        if len(body) > limit:
            raise ValueError(f"body of {len(body)} bytes exceeds {limit}")
        return body
    chunks: list[bytes] = []
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > limit:
            await body.aclose()
            raise ValueError(f"body exceeds {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def discard(body: AnyBody) -> None:
    """Close a body that nobody will read."""
    if not isinstance(body, bytes):
        await body.aclose()
