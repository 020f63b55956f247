"""A local content on its way to the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator

from services.sync.client.disk.folder import LocalChanged
from services.sync.client.pace import Pace
from services.sync.client.planning.actions import Action
from services.sync.client.planning.model import Node
from services.sync.client.progress import Progress
from services.sync.client.remote.api import (
    ChunksMissing,
    Offline,
    Remote,
    RemoteError,
    Stale,
    Written,
)
from services.sync.client.replica import Replica, Run
from services.sync.client.transfers.lists import spans
from services.sync.client.transfers.local import LocalLists
from services.sync.content.cutting import hash_of
from services.sync.content.manifest import Manifest

BLOCK = 256 * 1024
"""Bytes read from the disk in one trip to a thread."""

SMALL = 1024 * 1024
"""Files up to this size are read whole and sent in one piece."""

AT_ONCE, TOGETHER = 3, 4 * 1024 * 1024
"""Requests of one file on their way at once, and the bytes of the chunks of one: while one is stored the
next travels and a third is read."""

MOST_UNASKED = 4
"""Chunks that are sent without asking whether they are there: the question costs a round trip."""

ASSEMBLIES = 3
"""Times a file is put together when the server says that chunks are missing which it had."""


Places = dict[str, tuple[int, int]]
"""Where chunks are in a file: offset and size, by name."""


class Uploads:
    """Sends contents that MUST be what was planned: LocalChanged when the file is something else by now."""

    def __init__(
        self, replica: Replica, remote: Remote, lists: LocalLists, run: Run, pace: Pace,
        progress: Progress,
    ) -> None:  # fmt: skip
        self._replica = replica
        self._remote = remote
        self._lists = lists
        self._run = run
        self._pace = pace
        self._progress = progress
        self._torn: set[Action] = set()

    async def send(self, action: Action, node: Node) -> Written:
        """Write the file at the action's path on the server, expecting what it expects there."""
        is_large = node.size >= self._lists.cutting.edited_from
        # What the version that is replaced is made of is on the server for sure.
        known = self._lists.remembered(action.expect) if is_large else None
        if self._remote.has_pieces and (known or node.size >= self._lists.cutting.new_from):
            return await self._send_pieces(action, node, known)
        if node.size <= SMALL:
            content: bytes | AsyncIterator[bytes] = await self._run(self.read, action.path, node)
            await self._spend(node.size)
        else:
            content = self._stream(action, node)
        try:
            return await self._remote.upload(action.path, node, content, action.expect)
        except RemoteError:
            if action in self._torn:
                raise LocalChanged(f"{action.path} was changed while it was sent") from None
            raise
        finally:
            self._torn.discard(action)

    # By chunks.

    async def _send_pieces(self, action: Action, node: Node, known: Manifest | None) -> Written:
        manifest = await self._lists.of(action.path, node)
        places = spans(manifest)
        has = {name for name, _ in known.chunks} if known is not None else set()
        wanted = [name for name in places if name not in has]
        if len(wanted) > MOST_UNASKED:
            wanted = await self._remote.missing(wanted)
        sent = 0
        for _ in range(ASSEMBLIES):
            await self._send_chunks(action.path, {name: places[name] for name in wanted})
            sent += sum(places[name][1] for name in wanted)
            try:
                written = await self._remote.assemble(action.path, manifest, action.expect)
            except ChunksMissing as error:
                wanted = [name for name in error.chunks if name in places]
                continue
            self._progress.spared_bytes(max(0, node.size - sent))
            return written
        raise Offline(f"{action.path}: the server does not keep the chunks that it is sent")

    async def _send_chunks(self, path: str, places: Places) -> None:
        if not places:
            return
        descriptor = await self._open(path)
        waiting = _parts(places)
        tasks = [
            asyncio.get_running_loop().create_task(self._send_some(path, descriptor, waiting))
            for _ in range(min(AT_ONCE, len(places)))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._replica.folder.calls.close(descriptor)

    async def _send_some(self, path: str, descriptor: int, waiting: Iterator[Places]) -> None:
        for places in waiting:
            pieces = await self._run(self._read_pieces, path, descriptor, places)
            await self._spend(sum(len(data) for _, data in pieces))
            await self._remote.send_chunks(pieces)

    def _read_pieces(self, path: str, descriptor: int, places: Places) -> list[tuple[str, bytes]]:
        """Read chunks that stay together. Blocks."""
        found: list[tuple[str, bytes]] = []
        for name, (offset, size) in places.items():
            data = self._replica.folder.calls.read_at(descriptor, size, offset)
            if hash_of(data) != name:
                raise LocalChanged(f"{path} was changed while it was sent")
            found.append((name, data))
        return found

    # Whole.

    def read(self, path: str, node: Node) -> bytes:
        """Return a small file's content. Blocks."""
        folder = self._replica.folder
        calls, parts = folder.calls, []
        try:
            kept = folder.kept.take(path, node.hash, folder.status(path))
            if kept is not None:
                return kept
            descriptor = calls.open(folder.full(path))
        except OSError as error:
            raise LocalChanged(f"{path}: {error.strerror}") from error
        try:
            while chunk := calls.read(descriptor, SMALL):
                parts.append(chunk)
        finally:
            calls.close(descriptor)
        data = b"".join(parts)
        if hash_of(data) != node.hash:
            raise LocalChanged(f"{path} was changed")
        return data

    async def _stream(self, action: Action, node: Node) -> AsyncIterator[bytes]:
        """Yield a larger file; its end only if the whole is what was planned."""
        calls, digest, last = self._replica.folder.calls, hashlib.sha256(), b""
        descriptor = await self._open(action.path)
        try:
            while chunk := await self._run(calls.read, descriptor, BLOCK):
                digest.update(chunk)
                if last:
                    await self._spend(len(last))
                    yield last
                last = chunk
        finally:
            calls.close(descriptor)
        if digest.hexdigest() != node.hash:
            self._torn.add(action)
            raise Stale(f"{action.path} was changed while it was sent")
        yield last

    async def _open(self, path: str) -> int:
        try:
            return await self._run(self._replica.folder.calls.open, self._replica.folder.full(path))
        except OSError as error:
            raise LocalChanged(f"{path}: {error.strerror}") from error

    async def _spend(self, count: int) -> None:
        await self._pace.spend(count)
        self._progress.moved_bytes(count)


def _parts(places: Places) -> Iterator[Places]:
    """Yield chunks in groups, each for one request."""
    part: Places = {}
    size = 0
    for name, place in places.items():
        part[name] = place
        size += place[1]
        if size >= TOGETHER:
            yield part
            part, size = {}, 0
    if part:
        yield part
