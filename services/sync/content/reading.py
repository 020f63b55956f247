"""A content as the body of a response, pulled chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence

from quantum.errors import BodyAborted
from quantum.http.files.ranges import ByteRange
from quantum.http.headers import Headers
from services.sync.content.contents import Contents
from services.sync.content.manifest import Manifest


class ContentBody:
    """Parts of one content, and literal bytes between them: never a mix of two versions."""

    def __init__(
        self, contents: Contents, manifest: Manifest, parts: Sequence[bytes | ByteRange]
    ) -> None:
        self._contents = contents
        self._parts = [part for part in reversed(parts) if len(part)]
        self._starts: list[tuple[int, str, int]] = []
        at = 0
        for name, size in manifest.chunks:
            self._starts.append((at, name, size))
            at += size
        self._place = 0
        self.length: int | None = sum(map(len, parts))
        self.trailers: Headers | None = None

    def __aiter__(self) -> ContentBody:
        return self

    async def __anext__(self) -> bytes:
        if not self._parts:
            raise StopAsyncIteration
        part = self._parts.pop()
        if isinstance(part, bytes):
            return part
        start, name, size = self._find(part.first)
        data = await self._contents.chunk(name)
        if data is None:
            raise BodyAborted("a chunk of the content is missing")
        end = min(part.end, start + size)
        if end < part.end:
            self._parts.append(ByteRange(end, part.end))
        return data[part.first - start : end - start]

    def _find(self, position: int) -> tuple[int, str, int]:
        if position < self._starts[self._place][0]:
            self._place = 0  # the ranges of a request come in any order
        while position >= self._starts[self._place][0] + self._starts[self._place][2]:
            self._place += 1
        return self._starts[self._place]

    async def aclose(self) -> None:
        """Read no further."""
        self._parts.clear()
