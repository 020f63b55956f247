"""What the suite asks of a client, whatever it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from quantum.http.headers import Headers

Fields = Sequence[tuple[bytes, bytes]]
SECONDS = 30.0


class Cut(Exception):
    """The exchange did not come to its proper end."""


class Pieces:
    """A request body: pieces, and trailers behind them; counts what was pulled."""

    def __init__(self, pieces: Any, trailers: Fields = (), length: int | None = None) -> None:
        self._pieces = aiter(pieces) if hasattr(pieces, "__aiter__") else _each(pieces)
        self._trailers = trailers
        self.length = length
        self.trailers: Headers | None = None
        self.pulled = 0

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await anext(self._pieces)
        except StopAsyncIteration:
            self.trailers = Headers(list(self._trailers)) if self._trailers else None
            raise
        self.pulled += len(piece)
        return piece

    async def aclose(self) -> None:
        pass


async def _each(pieces: Any) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@dataclass
class Reply:
    """An answer whose head is there. ``body`` is pulled; ``cancel`` gives the exchange up."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: Any
    informational: list[tuple[int, list[tuple[bytes, bytes]]]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        return [v for n, v in self.fields if n == name]

    async def read(self) -> bytes:
        """Return the rest of the body; Cut when it did not come to its end."""
        parts = []
        async with asyncio.timeout(SECONDS):
            while piece := await self.piece():
                parts.append(piece)
        return b"".join(parts)

    async def piece(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        try:
            return await anext(self.body)
        except StopAsyncIteration:
            return b""
        except Cut:
            raise
        except Exception as error:
            raise Cut(repr(error)) from error

    @property
    def trailers(self) -> dict[bytes, bytes]:
        return dict(self.body.trailers.fields) if self.body.trailers else {}

    async def cancel(self) -> None:
        await self.body.aclose()


class Stream(Protocol):
    """A tunnel."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def write_end(self) -> None: ...
    def abort(self) -> None: ...


class Client(Protocol):
    """One connection."""

    async def request(
        self, method: str, path: str, fields: Fields = (), body: bytes | Pieces | None = None
    ) -> Reply:
        """Send a request; return when the head of the answer is there; Cut when it never will be.

        A cancelled call gives the exchange up.
        """

    async def tunnel(self, path: str) -> Stream:
        """Open a WebSocket's stream of bytes."""

    async def aclose(self) -> None: ...
