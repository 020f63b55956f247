"""One interface to contents, two backends: a directory (here), or a directory with the bus behind it.

Replicas that share a disk share the directory. Replicas that do not put what is new into the object
store of the bus before it is announced (``bus.py``). Either way: a content that was taken in can be read
by every replica, and one that was published stays for a day even if nothing names it yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from services.sync.content.directory import ChunkDirectory
from services.sync.content.manifest import Manifest

Needed = Callable[[], Awaitable[set[str]]]
"""Returns the hashes of all contents that the log names, up to its end at the time of the call."""


class Contents(Protocol):
    """What a share needs of its contents."""

    directory: ChunkDirectory

    async def publish(self, manifest: Manifest) -> None:
        """Make a content that is in the directory readable by every replica. BusUnavailable if it cannot."""

    async def publish_all(self, manifests: Sequence[Manifest]) -> None:
        """The same for many."""

    async def publish_chunk(self, name: str) -> None:
        """The same for one chunk."""

    async def manifest(self, hash: str, size: int) -> Manifest | None:
        """Return the chunks of a content, None when nobody has it."""

    async def chunk(self, name: str) -> bytes | None:
        """Return a chunk, None when nobody has it."""

    async def missing(self, names: Iterable[str]) -> list[str]:
        """Return the chunks that nobody has, each once, in order."""

    async def fetch(self, manifest: Manifest) -> bool:
        """Bring all of a content into the directory; False when something of it is nowhere."""

    def forget(self) -> None:
        """Take nothing for published any more: what was may be lost."""

    async def sweep(self, needed: Needed) -> int:
        """Remove what is older than a day and not needed; return the bytes freed. BusUnavailable."""


class DiskContents:
    """The directory is all there is."""

    def __init__(self, directory: ChunkDirectory) -> None:
        self.directory = directory

    async def publish(self, manifest: Manifest) -> None:
        """It is where everyone looks."""

    async def publish_all(self, manifests: Sequence[Manifest]) -> None:
        """It is where everyone looks."""

    async def publish_chunk(self, name: str) -> None:
        """It is where everyone looks."""

    async def manifest(self, hash: str, size: int) -> Manifest | None:
        """See the interface."""
        return await asyncio.to_thread(self.directory.manifest, hash, size)

    async def chunk(self, name: str) -> bytes | None:
        """See the interface."""
        return await asyncio.to_thread(self.directory.chunk, name)

    async def missing(self, names: Iterable[str]) -> list[str]:
        """See the interface."""
        wanted = list(dict.fromkeys(names))
        return await asyncio.to_thread(lambda: [n for n in wanted if not self.directory.has(n)])

    async def fetch(self, manifest: Manifest) -> bool:
        """See the interface."""
        return not await self.missing(name for name, _ in manifest.chunks)

    def forget(self) -> None:
        """Nothing is remembered."""

    async def sweep(self, needed: Needed) -> int:
        """See the interface."""
        kept = await needed()
        return await asyncio.to_thread(self.directory.sweep, kept)
