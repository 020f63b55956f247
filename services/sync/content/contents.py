"""One interface to contents, two backends: a directory, or a directory with the bus behind it.

Replicas that share a disk share the directory. Replicas that do not put what is new into the object
store of the bus before it is announced, and take from there what they miss; their directory is then
a cache that may be lost. Either way: a content that was taken in can be read by every replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from quantum.bus.api import Bus, Objects
from quantum.bus.subjects import SHARE_CONTENTS
from services.sync.content.cutting import LARGEST
from services.sync.content.directory import ChunkDirectory
from services.sync.content.manifest import Manifest

AT_ONCE = 16
"""Chunks on their way to or from the bus at once: some 4 MB, enough to fill a link."""


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


class BusContents(DiskContents):
    """The directory is a cache of what the bus holds."""

    def __init__(self, directory: ChunkDirectory, bus: Bus, share: str) -> None:
        super().__init__(directory)
        self._bus = bus
        self._share = share
        self._opened: Objects | None = None
        self._published: set[str] = set()
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def _objects(self) -> Objects:
        if self._opened is None:
            self._opened = await self._bus.objects(SHARE_CONTENTS, self._share)
        return self._opened

    async def publish(self, manifest: Manifest) -> None:
        """See the interface."""
        names = dict.fromkeys(name for name, _ in manifest.chunks)
        await asyncio.gather(*(self.publish_chunk(name) for name in names))
        if len(manifest.chunks) > 1:
            data = manifest.encode()
            parts = [data[at : at + LARGEST] for at in range(0, len(data), LARGEST)]
            for number, part in enumerate(parts[1:], 1):
                await (await self._objects()).put(f"m/{manifest.hash}/{number}", part)
            await (await self._objects()).put(f"m/{manifest.hash}", parts[0])

    async def publish_all(self, manifests: Sequence[Manifest]) -> None:
        """See the interface."""
        await asyncio.gather(*(self.publish(manifest) for manifest in manifests))

    async def publish_chunk(self, name: str) -> None:
        """See the interface."""
        if name in self._published:
            return
        async with self._limit:
            data = await super().chunk(name)
            if data is not None:
                await (await self._objects()).put(name, data)
        self._published.add(name)

    async def manifest(self, hash: str, size: int) -> Manifest | None:
        """See the interface."""
        here = await super().manifest(hash, size)
        if here is not None:
            return here
        if size <= LARGEST and await self.chunk(hash) is not None:
            return Manifest.of_one(hash, size)
        data = await (await self._objects()).get(f"m/{hash}")
        if data is None:
            return None
        number = 1
        while len(data) % LARGEST == 0:
            part = await (await self._objects()).get(f"m/{hash}/{number}")
            if part is None:
                break
            data, number = data + part, number + 1
        found = Manifest.decode(hash, data)
        await asyncio.to_thread(self.directory.add_manifest, found)
        return found

    async def chunk(self, name: str) -> bytes | None:
        """See the interface."""
        here = await super().chunk(name)
        if here is not None:
            return here
        async with self._limit:
            data = await (await self._objects()).get(name)
        if data is not None:
            await asyncio.to_thread(self.directory.add_chunk, name, data)
            self._published.add(name)
        return data

    async def missing(self, names: Iterable[str]) -> list[str]:
        """See the interface."""
        absent = await super().missing(names)
        found = await asyncio.gather(*(self.chunk(name) for name in absent))
        return [name for name, data in zip(absent, found, strict=True) if data is None]

    async def fetch(self, manifest: Manifest) -> bool:
        """See the interface."""
        return not await self.missing(name for name, _ in manifest.chunks)
