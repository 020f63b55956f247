"""The body of an HTTP/1.1 request on its way from the connection to the handler."""

from __future__ import annotations

from typing import Protocol

from quantum.errors import BodyAborted
from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from quantum.wire.h1.chunked import ChunkedReader
from quantum.wire.h1.request import RequestHead


class Source(Protocol):
    """What a body asks of its connection."""

    def pause_body(self) -> None:
        """Stop reading: the handler is behind."""

    def resume_body(self) -> None:
        """Read on."""

    def send_continue(self) -> None:
        """Tell the client to send the body (RFC 9110 §10.1.1)."""


class RequestBody(StreamBody):
    """A body still arriving: fed raw bytes, it undoes the framing. Asks for it with 100 (Continue).

    ``take`` returns what is not the body's; ``is_received`` says when all of it is here, which is a
    matter of the wire and independent of the reader's interest.
    """

    __slots__ = ("_chunked", "_left", "_source", "awaits_continue", "is_received")

    def __init__(self, head: RequestHead, source: Source) -> None:
        super().__init__(head.length, pause=source.pause_body, resume=source.resume_body)
        self._source = source
        self._left = head.length or 0
        self._chunked = ChunkedReader() if head.chunked else None
        self.awaits_continue = head.expects_continue
        self.is_received = False

    @property
    def left(self) -> int | None:
        """Bytes still to come on the wire; None when a chunked body does not tell."""
        return self._left if self._chunked is None else None

    def take(self, data: bytes) -> bytes:
        """Take in what arrived; return what comes behind the body. HttpError for bad framing."""
        self.awaits_continue = False  # the client did not wait
        if self._chunked is not None:
            return self._take_chunked(self._chunked, data)
        size = len(data)
        if size < self._left:
            self._left -= size
            self.feed(data)
            return b""
        rest = data[self._left :]
        if self._left:
            self.feed(data[: self._left] if rest else data)
            self._left = 0
        self._received(None)
        return rest

    def _take_chunked(self, reader: ChunkedReader, data: bytes) -> bytes:
        for piece in reader.feed(data):
            self.feed(piece)
        if not reader.is_done:
            return b""
        self._received(Headers(reader.trailers) if reader.trailers else None)
        return reader.rest

    def _received(self, trailers: Headers | None) -> None:
        self.is_received = True
        self.finish(trailers)

    def skip(self) -> None:
        """Let what is still to come be read and dropped: the exchange is over."""
        self._chunks.clear()
        self._size = 0
        self._ended = True
        self._failure = BodyAborted("the exchange has ended")
        self._wake()  # somebody may be reading it for an upstream still

    async def __anext__(self) -> bytes:
        if self.awaits_continue:
            self.awaits_continue = False
            self._source.send_continue()
        return await super().__anext__()


def whole_body(head: RequestHead, rest: bytes) -> tuple[bytes, bytes] | None:
    """Return (body, what follows) when all of a short body arrived with its head, None otherwise."""
    if head.chunked:
        reader = ChunkedReader()
        pieces = reader.feed(rest)
        if reader.is_done and not reader.trailers:
            return b"".join(pieces), reader.rest
        return None
    length = head.length or 0
    return (rest[:length], rest[length:]) if length <= len(rest) else None


def split_target(target: str) -> tuple[str, str | None]:
    """Return path and query of a target in origin form."""
    path, mark, query = target.partition("?")
    return path, query if mark else None
