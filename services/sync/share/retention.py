"""How far back history goes: the start of a log is dropped once a snapshot stands for it.

The snapshot is on the bus before anything is dropped, so a replica that begins anew takes it and goes
on from there. Every replica trims its index to what the log still has; the one that keeps the directory
drops, and sweeps contents that nothing names any more: uploads that were given up, too.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from quantum.bus.api import Bus, Objects
from quantum.bus.subjects import SHARE_SNAPSHOTS
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from services.sync.content.cutting import LARGEST
from services.sync.content.directory import ABANDONED
from services.sync.rules.tree import Node, ShareTree
from services.sync.share.history import sequence_at, tree_at
from services.sync.share.index import Index
from services.sync.share.log import ShareLog

if TYPE_CHECKING:
    from services.sync.share.share import Share

REPEATED_SECONDS = 120.0
"""How long a request is known again by its op_id (docs/sync-protocol.md): for so long its operation is kept,
since the index of operations is what knows it."""

TRIM_SECONDS = 600.0
"""Between looks: retention is a matter of days."""

SWEEP_SECONDS = 3600.0
"""Between sweeps when nothing was trimmed: what was given up lies for a day anyhow, and a sweep of a
million chunks takes some seconds of a core."""

_log = structlog.get_logger("quantum.sync")


class SnapshotMissing(Exception):
    """The start of the log was dropped and nothing stands for it."""


class Retention:
    """What is kept of one share."""

    def __init__(self, bus: Bus, name: str, clock: Clock, age: float, operations: int) -> None:
        """``age`` in seconds; with both 0 everything is kept."""
        self._bus = bus
        self._name = name
        self._clock = clock
        self._age = age
        self._operations = operations
        self._swept = clock.monotonic()

    async def run(self, share: Share, log: ShareLog) -> None:
        """Trim from time to time, for ever."""
        while True:
            try:
                await self.trim(share, log)
                if self._clock.monotonic() - self._swept > SWEEP_SECONDS:
                    await self.sweep(share, log)
            except (BusUnavailable, OSError, sqlite3.Error) as error:
                _log.warning("share_not_trimmed", share=self._name, reason=str(error))
            await self._clock.sleep(TRIM_SECONDS)

    async def trim(self, share: Share, log: ShareLog) -> None:
        """Drop what is too old, if this process keeps the directory; then follow what was dropped."""
        if share.keeper.is_keeping and (self._age or self._operations):
            last = await asyncio.to_thread(self._last_to_drop, share)
            if last >= share.index.first():
                snapshot = await asyncio.to_thread(tree_at, share.index, last)
                await self._store(snapshot)
                await log.purge(last)
                _log.info("share_history_dropped", share=self._name, through=last)
        _, first, _ = await log.state()
        if first > share.index.first():
            base = await asyncio.to_thread(tree_at, share.index, first - 1)
            async with share.lock:
                await asyncio.to_thread(share.index.trim, base)
            await self.sweep(share, log)

    def _last_to_drop(self, share: Share) -> int:
        age = max(self._age, REPEATED_SECONDS)
        bounds = [sequence_at(share.index, self._clock.now() - timedelta(seconds=age))]
        if self._operations:
            bounds.append(share.tree.head - self._operations)
        return min(bounds)

    async def sweep(self, share: Share, log: ShareLog) -> None:
        """Remove contents and snapshots that nobody needs, if this process keeps the directory."""
        if not share.keeper.is_keeping:
            return
        freed = await share.contents.sweep(lambda: self._needed(share, log))
        if self._age or self._operations:
            await self._sweep_snapshots(share.index.first() - 1)
        self._swept = self._clock.monotonic()
        _log.info("share_contents_swept", share=self._name, bytes=freed)

    async def _needed(self, share: Share, log: ShareLog) -> set[str]:
        """Return what the log names, up to the end that it has now. BusUnavailable."""
        identity, _, last = await log.state()
        if identity != share.log_id or not await share.reach(last):
            raise BusUnavailable("the log cannot be read up to its end")
        needed = await asyncio.to_thread(_hashes, share.index)
        return needed | {node.hash for node in list(share.tree.nodes.values())}

    async def _sweep_snapshots(self, current: int) -> None:
        """Drop what stands for shorter starts of the log than the one that is gone: nobody begins there.

        A replica that found out where the log begins a moment ago still finds its snapshot: for a day.
        """
        objects = await self._objects()
        for held in await objects.list():
            if int(held.name.partition("/")[0]) < current and held.age > ABANDONED:
                await objects.drop(held)

    async def _objects(self) -> Objects:
        return await self._bus.objects(SHARE_SNAPSHOTS, self._name)

    async def _store(self, tree: ShareTree) -> None:
        data = await asyncio.to_thread(_encode, tree)
        pieces = [data[at : at + LARGEST] for at in range(0, len(data), LARGEST)]
        objects = await self._objects()
        for number, piece in enumerate(pieces):
            await objects.put(f"{tree.head}/{number}", piece)
        await objects.put(str(tree.head), str(len(pieces)).encode())

    async def load(self, seq: int) -> ShareTree:
        """Return the tree right after ``seq``, where the log begins; SnapshotMissing."""
        objects = await self._objects()
        count = await objects.get(str(seq))
        pieces = [await objects.get(f"{seq}/{n}") for n in range(int(count or b"0"))]
        whole = [piece for piece in pieces if piece is not None]
        if not whole or len(whole) != len(pieces):
            raise SnapshotMissing(f"{self._name}: nothing stands for the log up to {seq}")
        return await asyncio.to_thread(_decode, b"".join(whole), seq)


def _hashes(index: Index) -> set[str]:
    with index.moment() as kept:  # a trim moves what it drops into the tree before it
        return kept.hashes()


def _encode(tree: ShareTree) -> bytes:
    rows = [[n.path, n.size, n.hash, n.modified, n.is_directory, n.version] for n in tree.walk()]
    return zlib.compress(json.dumps(rows, ensure_ascii=False).encode())


def _decode(data: bytes, seq: int) -> ShareTree:
    tree = ShareTree()
    tree.load((Node(*row) for row in json.loads(zlib.decompress(data))), {}, seq)
    return tree
