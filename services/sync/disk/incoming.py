"""A content on its way in: written to a hidden temporary file, hashed on the way, made durable.

Only ``Folder.place`` gives it a name. Until then nobody sees it; a process that dies leaves nothing
but the temporary file, which is cleared away later.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.sync.disk.folder import Folder

T = TypeVar("T")

BATCH = 256 * 1024
"""Bytes gathered before a thread writes and hashes them: a trip to a thread costs 90 µs, hashing this
much 0.2-0.5 ms, which the event loop should not wait for."""


class TooLarge(Exception):
    """A content longer than the limit."""


@dataclass(frozen=True, slots=True)
class Received:
    """A complete, durable, nameless content."""

    temporary: str
    size: int
    digest: bytes
    modified_ns: int
    inode: int

    @property
    def hash(self) -> str:
        """SHA-256 in hex."""
        return self.digest.hex()


class Incoming:
    """One content. ``finish`` or ``aclose`` MUST be called."""

    def __init__(self, folder: Folder, limit: int = 0) -> None:
        """``limit`` in bytes, 0 for none."""
        self._folder = folder
        self._limit = limit
        self._digest = hashlib.sha256()
        self._gathered: list[bytes | bytearray] = []
        self._waiting = 0
        self._size = 0
        self._temporary: str | None = None
        self._descriptor: int | None = None

    async def write(self, chunk: bytes | bytearray) -> None:
        """Add bytes; raises TooLarge at once when they are too many."""
        self._size += len(chunk)
        if self._limit and self._size > self._limit:
            raise TooLarge(f"the content is larger than {self._limit} bytes")
        self._gathered.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= BATCH:
            await self._in_thread(self._flush)

    async def finish(self) -> Received:
        """Write what is left, make it durable, return what is needed to give it its name."""
        return await self._in_thread(self._finish)

    async def aclose(self) -> None:
        """Give up a content that was not finished; fine after ``finish``."""
        await asyncio.to_thread(self._abandon)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread; a cancelled caller still waits for it, since it uses the file."""
        running = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def _flush(self) -> None:
        if self._descriptor is None:
            self._temporary, self._descriptor = self._folder.create_temporary()
        data = b"".join(self._gathered)
        self._gathered, self._waiting = [], 0
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _finish(self) -> Received:
        self._flush()
        assert self._descriptor is not None
        assert self._temporary is not None
        os.fsync(self._descriptor)
        status = os.fstat(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        received = Received(
            self._temporary, self._size, self._digest.digest(), status.st_mtime_ns, status.st_ino
        )
        self._temporary = None
        return received

    def _abandon(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._temporary is not None:
            self._folder.drop_temporary(self._temporary)
            self._temporary = None
