"""Contents behind the bus: the directory is a cache of what its object store holds, and may be lost.

Nothing is announced whose content is not there. What no operation names goes at last: whoever publishes a
content makes its chunks young, and a sweep takes only what was old before it asked the log what is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from quantum.bus.api import Bus, Conflict, Held, Objects
from quantum.bus.subjects import SHARE_CONTENTS, SHARE_SWEEPS, SweepBegun, key_of
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.ids import PROCESS_ID
from services.sync.content.contents import DiskContents, Needed
from services.sync.content.cutting import LARGEST
from services.sync.content.directory import ABANDONED, ChunkDirectory
from services.sync.content.manifest import Manifest

AT_ONCE = 16
"""Chunks on their way to or from the bus at once: some 4 MB, enough to fill a link."""

RENEWED_SECONDS = 3600.0
"""How long what was published here counts as young without asking: far less than ABANDONED, far more than
one upload publishes the same chunk again."""

MOST_REMEMBERED = 200_000
"""Chunks that are known to be young, some 30 MB: one more, and they are published again."""

_LIST = "m/"
"""What the names of lists of chunks begin with: ``m/HASH``, and ``m/HASH/1`` … for a long one."""

_log = structlog.get_logger("quantum.sync")


class BusContents(DiskContents):
    """The directory is a cache of what the bus holds."""

    def __init__(self, directory: ChunkDirectory, bus: Bus, share: str, clock: Clock) -> None:
        super().__init__(directory)
        self._bus = bus
        self._share = share
        self._clock = clock
        self._opened: Objects | None = None
        self._young: dict[str, float] = {}
        """When the chunks that were published here were: renewed before they can look abandoned."""
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
            data, objects = manifest.encode(), await self._objects()
            parts = [data[at : at + LARGEST] for at in range(0, len(data), LARGEST)]
            for number, part in enumerate(parts[1:], 1):
                await objects.put(f"{_LIST}{manifest.hash}/{number}", part)
            await objects.put(_LIST + manifest.hash, parts[0])

    async def publish_all(self, manifests: Sequence[Manifest]) -> None:
        """See the interface."""
        await asyncio.gather(*(self.publish(manifest) for manifest in manifests))

    async def publish_chunk(self, name: str) -> None:
        """See the interface."""
        began = self._clock.monotonic()
        if began - self._young.get(name, -RENEWED_SECONDS) < RENEWED_SECONDS:
            return
        data = await self.chunk(name)
        if data is None:  # of a disk that lost it: the writer repeats, and brings it again
            raise BusUnavailable(f"the chunk {name} is not here any more")
        async with self._limit:
            await (await self._objects()).put(name, data)
        if len(self._young) >= MOST_REMEMBERED:
            self._young.clear()
        self._young[name] = began

    async def manifest(self, hash: str, size: int) -> Manifest | None:
        """See the interface."""
        here = await super().manifest(hash, size)
        if here is not None:
            return here
        if size <= LARGEST and await self.chunk(hash) is not None:
            return Manifest.of_one(hash, size)
        found = await self._published(hash)
        if found is not None:
            await asyncio.to_thread(self.directory.add_manifest, found)
        return found

    async def _published(self, hash: str) -> Manifest | None:
        """Return the list of chunks that the bus has."""
        objects = await self._objects()
        data = await objects.get(_LIST + hash)
        if data is None:
            return None
        number = 1
        while len(data) % LARGEST == 0:
            part = await objects.get(f"{_LIST}{hash}/{number}")
            if part is None:
                break
            data, number = data + part, number + 1
        return Manifest.decode(hash, data)

    async def chunk(self, name: str) -> bytes | None:
        """See the interface."""
        here = await super().chunk(name)
        if here is not None:
            return here
        async with self._limit:
            data = await (await self._objects()).get(name)
        if data is not None:
            await asyncio.to_thread(self.directory.add_chunk, name, data)
        return data

    async def missing(self, names: Iterable[str]) -> list[str]:
        """See the interface."""
        absent = await super().missing(names)
        found = await asyncio.gather(*(self.chunk(name) for name in absent))
        return [name for name, data in zip(absent, found, strict=True) if data is None]

    async def fetch(self, manifest: Manifest) -> bool:
        """See the interface."""
        return not await self.missing(name for name, _ in manifest.chunks)

    def forget(self) -> None:
        """See the interface."""
        self._young.clear()

    # What nobody needs.

    async def sweep(self, needed: Needed) -> int:
        """Sweep the directory; and the bus, if no replica did that lately."""
        freed = await super().sweep(needed)
        return freed + (await self._sweep_bus(needed) if await self._is_our_turn() else 0)

    async def _is_our_turn(self) -> bool:
        """Whether this replica is the one that sweeps. Two at once would do no harm, only work."""
        turns = await self._bus.bucket(SHARE_SWEEPS)
        try:
            await turns.create(key_of(self._share), SweepBegun(process=PROCESS_ID))
        except Conflict:
            return False
        return True

    async def _sweep_bus(self, needed: Needed) -> int:
        """Remove from the bus what was old before the log was asked, and is not named there.

        Who appends an operation after that has published its content: that made it young (``drop`` leaves it),
        or was within the day that ``held.age`` leaves aside.
        """
        objects = await self._objects()
        held = await objects.list()
        old = [each for each in held if each.age > ABANDONED]
        if not old:
            return 0
        kept = await self._names_of(await needed(), {each.name for each in held})
        unneeded = [each for each in old if each.name not in kept]
        unneeded.sort(key=lambda each: not each.name.startswith(_LIST))  # lists before their chunks
        freed = await asyncio.gather(*(self._drop(objects, each) for each in unneeded))
        await objects.tidy(ABANDONED)
        _log.info("share_bus_swept", share=self._share, dropped=len(freed), bytes=sum(freed))
        return sum(freed)

    async def _names_of(self, hashes: set[str], held: set[str]) -> set[str]:
        """Return the names of all that these contents are made of. BusUnavailable if a list cannot be read."""
        kept = set(hashes)
        for content in hashes:
            if _LIST + content not in held:
                continue  # one chunk, named as the content
            found = await asyncio.to_thread(self.directory.listed, content)
            found = found or await self._published(content)
            if found is None:
                raise BusUnavailable(f"the list of chunks of {content} cannot be read")
            kept.update(name for name, _ in found.chunks)
            parts = -(-len(found.encode()) // LARGEST)
            kept.update([_LIST + content, *(f"{_LIST}{content}/{n}" for n in range(1, parts))])
        return kept

    async def _drop(self, objects: Objects, held: Held) -> int:
        async with self._limit:
            return held.size if await objects.drop(held) else 0
