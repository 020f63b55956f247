"""Replicas that share contents by the bus alone, in virtual time: uploads, restores, retention, sweeps.

``python -m tests.simulation.sweeping 20000`` judges so many histories. The contents and their sweep are the
real ones; the log is a list, the bus answers late, loses answers, and is away at times. Replicas lose their
directories, sweepers are killed.
"""

import asyncio
import shutil
import sys
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import structlog

from quantum.bus.api import Held
from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.errors import BusUnavailable
from services.sync.content import bus as bus_module
from services.sync.content.bus import BusContents
from services.sync.content.directory import ABANDONED, ChunkDirectory
from services.sync.content.manifest import Manifest
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import SkewedClock

HOUR = 3600.0
CHUNKS = [f"chunk {number} ".encode() * (number + 1) for number in range(8)]
NAMES = [sha256(data).hexdigest() for data in CHUNKS]


def content(*numbers: int) -> Manifest:
    whole = sha256(b"".join(CHUNKS[n] for n in numbers)).hexdigest()
    chunks = tuple((NAMES[n], len(CHUNKS[n])) for n in numbers)
    return Manifest(whole, sum(size for _, size in chunks), chunks)


CONTENTS = [
    content(0),
    content(1),
    content(0, 1),
    content(1, 2, 3),
    content(3, 4, 0),
    content(5, 6),
]
CONTENTS += [content(6, 7, 2, 2), content(7)]


class Shaky:
    """Blobs behind a network: each request takes its time, before and after it is done."""

    def __init__(self, inner: Any, world: "World") -> None:
        self._inner, self._world = inner, world

    async def _ask(self, request: Any, *arguments: Any) -> Any:
        await self._world.pass_through()
        answer = await request(*arguments)
        await self._world.pass_through()
        return answer

    async def put(self, name: str, data: bytes) -> None:
        await self._ask(self._inner.put, name, data)

    async def get(self, name: str) -> bytes | None:
        return await self._ask(self._inner.get, name)

    async def list(self) -> list[Held]:
        return await self._ask(self._inner.list)

    async def drop(self, held: Held) -> bool:
        return await self._ask(self._inner.drop, held)

    async def tidy(self, age: float) -> int:
        return await self._ask(self._inner.tidy, age)


class ShakyBus:
    def __init__(self, inner: MemoryBus, world: "World") -> None:
        self._inner, self._world = inner, world

    async def bucket(self, bucket: Any) -> Any:
        await self._world.pass_through()
        return await self._inner.bucket(bucket)

    async def objects(self, store: Any, key: str) -> Any:
        return Shaky(await self._inner.objects(store, key), self._world)


class World:
    """Three replicas and a log: ``named`` are the contents of its operations, ``first`` the oldest kept."""

    def __init__(self, seed: str, loop: VirtualLoop, root: Path) -> None:
        self.dice, self.root = Random(seed), root
        self.server = MemoryServer(SkewedClock(loop, 0.0))
        self.bus = MemoryBus(self.server)
        self.loss = self.dice.choice([0.0, 0.0, 0.02, 0.1])
        self.named: list[Manifest] = []
        self.first = 0
        self.problem = ""
        self.swept = 0
        clock = SkewedClock(loop, 0.0)
        self.replicas = [
            BusContents(ChunkDirectory(f"{root}/{n}"), ShakyBus(self.bus, self), "s", clock)  # type: ignore[arg-type]
            for n in range(3)
        ]
        for replica in self.replicas:
            Path(replica.directory.root).mkdir()

    async def pass_through(self) -> None:
        is_slow = self.dice.random() < 0.05
        await asyncio.sleep(self.dice.expovariate(0.002 if is_slow else 1.0))
        if self.dice.random() < self.loss:
            raise BusUnavailable("no answer")

    def needed(self) -> list[Manifest]:
        return self.named[self.first :]

    async def write(self) -> None:
        """Upload as a client with a list of chunks does: what is missing, then the list, then the log."""
        replica, wanted = self.dice.choice(self.replicas), self.dice.choice(CONTENTS)
        with suppress(BusUnavailable):
            missing = set(await replica.missing(name for name, _ in wanted.chunks))
            await asyncio.sleep(self.dice.uniform(0, HOUR / 2))
            for name in missing:
                replica.directory.add_chunks([(name, CHUNKS[NAMES.index(name)])])
                await replica.publish_chunk(name)
            if self.dice.random() < 0.2 or await replica.missing(n for n, _ in wanted.chunks):
                return  # given up
            replica.directory.add_manifest(wanted)
            await replica.publish(wanted)
            await asyncio.sleep(self.dice.uniform(0, HOUR / 2))
            self.named.append(wanted)

    async def restore(self) -> None:
        """Name a content of the past again, which retention may be dropping just now."""
        if not self.needed():
            return
        replica, past = self.dice.choice(self.replicas), self.dice.choice(self.needed())
        with suppress(BusUnavailable):
            found = await replica.manifest(past.hash, past.size)
            if found is None or not await replica.fetch(found):
                return
            await replica.publish(found)
            await asyncio.sleep(self.dice.uniform(0, 60))
            self.named.append(past)

    async def trim(self) -> None:
        self.first = self.dice.randint(self.first, len(self.named))

    async def lose(self) -> None:
        place = Path(self.dice.choice(self.replicas).directory.root)
        shutil.rmtree(place)
        place.mkdir()

    async def sweep(self) -> None:
        """Sweep as the room does; now and then the process is killed in the middle of it."""

        async def needed() -> set[str]:
            now = {each.hash for each in self.needed()}
            await asyncio.sleep(self.dice.expovariate(0.1))
            return now

        sweeping = asyncio.ensure_future(self.dice.choice(self.replicas).sweep(needed))
        patience = self.dice.uniform(0, 20) if self.dice.random() < 0.3 else 10 * HOUR
        await asyncio.wait([sweeping], timeout=patience)
        sweeping.cancel()
        with suppress(BusUnavailable, asyncio.CancelledError):
            self.swept += await sweeping

    def check(self) -> None:
        """Every content that the log names is on the bus, whole."""
        held = self.server.objects[f"{bus_module.SHARE_CONTENTS.name}_s"]
        for each in self.needed():
            lists = [] if len(each.chunks) == 1 else [f"m/{each.hash}"]
            lost = [n for n in [*lists, *(n for n, _ in each.chunks)] if n not in held]
            if lost and not self.problem:
                self.problem = f"{each.hash} is named, and {lost} are gone"

    async def act(self) -> None:
        """Do what people, retention and replicas do, for a while."""
        acts = [self.write, self.write, self.restore, self.trim, self.sweep, self.lose]
        for _ in range(self.dice.randint(5, 15)):
            await asyncio.sleep(self.dice.choice([1.0, 60.0, HOUR, 10 * HOUR, 30 * HOUR]))
            await self.dice.choice(acts)()
            self.check()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(self.act())
        await self.end()

    async def end(self) -> None:
        """When all is quiet what nobody needs goes, and only that."""
        self.loss = 0.0
        await asyncio.sleep(2 * ABANDONED)
        before = {each.hash for each in self.needed()}

        async def needed() -> set[str]:
            return before

        await self.replicas[0].sweep(needed)
        self.check()
        wanted = {n for each in self.needed() for n, _ in each.chunks}
        wanted |= {f"m/{each.hash}" for each in self.needed() if len(each.chunks) > 1}
        # One that is a chunk of another content, too, may have a list: it is not looked for.
        left = set(self.server.objects[f"{bus_module.SHARE_CONTENTS.name}_s"]) - wanted
        if left and not self.problem:
            self.problem = f"{left} are needed by nobody, and stay"
        await self.server.aclose()


def judge(seed: str) -> tuple[str, int]:
    """Return what went wrong in the history of this seed, "" if nothing; and how many bytes were swept."""

    async def inline(function: Any, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    loop = VirtualLoop()
    with tempfile.TemporaryDirectory(dir=place) as root, mock.patch("asyncio.to_thread", inline):
        world = World(seed, loop, Path(root))
        try:
            loop.run_until_complete(world.run())
        finally:
            loop.close()
    return world.problem, world.swept


if __name__ == "__main__":
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    bytes_swept = 0
    for number in range(int(sys.argv[1])):
        said, freed = judge(f"long{number}")
        bytes_swept += freed
        if said:
            raise SystemExit(f"long{number}: {said}")
    print(f"{sys.argv[1]} histories, {bytes_swept} bytes swept, nothing lost")
