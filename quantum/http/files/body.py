"""A body read from an open file, part by part, as the client reads.

Page-cache reads are done in place: 256 KiB cost 6-20 µs, a trip through a thread pool 90 µs. Whether
a part is in the page cache is asked of the kernel first (RWF_NOWAIT, one byte at the part's end, 1 µs):
what would touch a disk goes through the thread pool, and no other request waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from quantum.errors import BodyAborted
from quantum.http.files.ranges import ByteRange
from quantum.http.headers import Headers

CHUNK = 256 * 1024
"""Bytes per pull: the cost of a pull (some 15 µs through the codec) is then small beside the copy,
and a client that stalls holds no more than this."""

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class FileBody:
    """The parts of an open file, and literal bytes between them. Owns the descriptor."""

    __slots__ = ("_descriptor", "_parts", "length", "trailers")

    def __init__(self, descriptor: int, parts: Sequence[bytes | ByteRange]) -> None:
        """Take over ``descriptor``; it is closed when the body ends or is closed."""
        self._descriptor: int | None = descriptor
        self._parts = list(reversed(parts))
        self.length: int | None = sum(map(len, parts))
        self.trailers: Headers | None = None

    def __aiter__(self) -> FileBody:
        return self

    async def __anext__(self) -> bytes:
        while self._parts and not len(self._parts[-1]):
            self._parts.pop()
        if not self._parts:
            self._close()
            raise StopAsyncIteration
        part = self._parts[-1]
        if isinstance(part, bytes):
            self._parts.pop()
            return part
        return await self._read(part)

    async def _read(self, part: ByteRange) -> bytes:
        if self._descriptor is None:
            raise BodyAborted("closed by its reader")
        count = min(CHUNK, len(part))
        if is_resident(self._descriptor, part.first + count - 1):
            data = os.pread(self._descriptor, count, part.first)
        else:
            loop = asyncio.get_running_loop()
            data = await loop.run_in_executor(None, os.pread, self._descriptor, count, part.first)
        if not data:
            await self.aclose()
            raise BodyAborted("the file became shorter while it was sent")
        self._parts[-1] = ByteRange(part.first + len(data), part.end)
        return data

    async def aclose(self) -> None:
        """Close the file."""
        self._parts.clear()
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def is_resident(descriptor: int, position: int) -> bool:
    """Whether reading that byte touches no disk; False also where the kernel cannot tell."""
    if _NOWAIT is None:
        return False
    try:
        os.preadv(descriptor, [bytearray(1)], position, _NOWAIT)
    except OSError:
        return False
    return True
