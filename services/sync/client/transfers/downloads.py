"""A content on its way from the server into a temporary file.

An edited file is put together from what the old one has and the ranges of the new one that it has not.
The file is written in order, so what is there of an interrupted download, in this process or in an
earlier one, is a beginning that can be gone on from; the hash of the whole decides at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from services.sync.client.disk.folder import INCOMING, PARTIAL, READ_SIZE, LocalChanged
from services.sync.client.pace import Pace
from services.sync.client.planning.actions import Action
from services.sync.client.planning.model import Node
from services.sync.client.progress import Progress
from services.sync.client.remote.api import Download, Offline, Remote, Stale
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica, Run
from services.sync.client.transfers.lists import spans
from services.sync.client.transfers.local import LocalLists
from services.sync.client.transfers.temporary import Temporary
from services.sync.content.manifest import Manifest

COPIED = 64 * 1024 * 1024
"""Bytes copied in one trip to a thread: whoever ends the program waits for no more than that."""


class Stretch(NamedTuple):
    """Bytes of the new content that come from one place: from the old file, or from the server."""

    is_here: bool
    offset: int
    """In the old file; in the new content when they come from the server."""
    size: int


class Downloads:
    """Fetches contents into durable temporary files."""

    def __init__(
        self, replica: Replica, view: RemoteView, remote: Remote, lists: LocalLists, run: Run,
        pace: Pace, progress: Progress,
    ) -> None:  # fmt: skip
        self._replica = replica
        self._view = view
        self._remote = remote
        self._lists = lists
        self._run = run
        self._pace = pace
        self._progress = progress
        self._receiving: set[str] = set()

    async def fetch(self, action: Action, wanted: Node, token: str) -> tuple[Node, str]:
        """Return what was fetched, and where it is. It may be a newer version than was wanted."""
        is_large = wanted.size >= self._lists.cutting.resumed_from
        can_resume = is_large and wanted.hash not in self._receiving
        name = f"{wanted.hash}{PARTIAL}" if can_resume else token
        place = self._replica.folder.full(f"{INCOMING}/{name}")
        temporary = Temporary(place, self._replica.folder.calls)
        self._receiving.add(wanted.hash)
        try:
            node = await self._receive(action, wanted, temporary, can_resume=can_resume)
            self._replica.folder.partial.discard(place)
            return node, place
        except BaseException as error:
            temporary.close()
            if can_resume and isinstance(error, Offline | asyncio.CancelledError):
                self._replica.folder.partial.add(place)
            else:
                await self._run(temporary.discard)
            raise
        finally:
            self._receiving.discard(wanted.hash)

    async def _receive(
        self, action: Action, wanted: Node, temporary: Temporary, *, can_resume: bool
    ) -> Node:
        start = await self._run(temporary.resume) if can_resume else 0
        if start > wanted.size or start == 0:
            await self._run(temporary.begin)
        manifest = await self._manifest(action, wanted)
        stretches = None
        if manifest is not None:
            stretches = await self._stretches(action, manifest)
        if manifest is not None and stretches is not None:
            await self._patch(action, wanted, temporary, stretches)
            digest, _ = await self._run(temporary.finish)
            if digest == wanted.hash:
                self._lists.keep(manifest)
                return wanted
            await self._run(temporary.begin)  # the old file is not what it was: all of it, then
        node = wanted
        if temporary.size < wanted.size or not wanted.size:
            node = await self._whole(action.path, wanted, temporary)
        if await self._run(temporary.finish) != (node.hash, node.size):
            await self._run(temporary.discard)
            raise Offline(f"{action.path}: what arrived is not what was announced")
        return node

    # All of it, or all of the rest.

    async def _whole(self, path: str, wanted: Node, temporary: Temporary) -> Node:
        start = temporary.size
        async with self._remote.download(path, start, wanted.hash) as download:
            if download.start != start:
                await self._run(temporary.begin)
            await self._take(download, temporary)
            if download.node != wanted:
                self._learn(path, download)
            return download.node

    async def _take(self, download: Download, temporary: Temporary) -> None:
        async for chunk in download:
            await self._pace.spend(len(chunk))
            await self._run(temporary.write, chunk)
            self._progress.moved_bytes(len(chunk))

    def _learn(self, path: str, download: Download) -> None:
        """Take a newer version than the one we came for, if we can tell that it is newer."""
        if self._view.has_cursor and download.seq <= self._view.cursor:
            raise Stale(f"{path} is not what was announced")
        self._view.wrote(path, download.node, download.seq)

    # What is new in it.

    async def _manifest(self, action: Action, wanted: Node) -> Manifest | None:
        """Return the chunks of the wanted content, None when it is not worth knowing them."""
        least, old = self._lists.cutting.edited_from, action.expect
        if old is None or min(old.size, wanted.size) < least or not self._remote.has_pieces:
            return None
        manifest = await self._remote.manifest(action.path)
        if manifest is not None and manifest.hash != wanted.hash:
            raise Stale(f"{action.path} is not what was announced")
        return manifest

    async def _stretches(self, action: Action, manifest: Manifest) -> list[Stretch] | None:
        """Return where the bytes come from; None when the old file has none of them."""
        assert action.expect is not None
        here = spans(await self._lists.of(action.path, action.expect))
        found: list[Stretch] = []
        at = 0
        for name, size in manifest.chunks:
            place = here.get(name)
            is_here = place is not None
            _extend(found, Stretch(is_here, place[0] if place is not None else at, size))
            at += size
        return found if any(stretch.is_here for stretch in found) else None

    async def _patch(
        self, action: Action, wanted: Node, temporary: Temporary, stretches: list[Stretch]
    ) -> None:
        calls = self._replica.folder.calls
        try:
            descriptor = await self._run(calls.open, self._replica.folder.full(action.path))
        except OSError as error:
            raise LocalChanged(f"{action.path}: {error.strerror}") from error
        try:
            done, at = temporary.size, 0
            for stretch in stretches:
                skip = min(max(done - at, 0), stretch.size)
                at += stretch.size
                left = Stretch(stretch.is_here, stretch.offset + skip, stretch.size - skip)
                if not left.size:
                    continue
                if left.is_here:
                    for part in _parts(left):
                        await self._run(self._copy, descriptor, part, temporary)
                        self._progress.spared_bytes(part.size)
                else:
                    await self._fetch_range(action.path, wanted, left, temporary)
        finally:
            calls.close(descriptor)

    def _copy(self, descriptor: int, stretch: Stretch, temporary: Temporary) -> None:
        """Copy bytes of the old file. Blocks."""
        offset, end = stretch.offset, stretch.offset + stretch.size
        while offset < end:
            size = min(READ_SIZE, end - offset)
            data = self._replica.folder.calls.read_at(descriptor, size, offset)
            if len(data) < size:
                raise LocalChanged("the old file became shorter")
            temporary.write(data)
            offset += size

    async def _fetch_range(
        self, path: str, wanted: Node, stretch: Stretch, temporary: Temporary
    ) -> None:
        before = temporary.size
        async with self._remote.download(
            path, stretch.offset, wanted.hash, stretch.size
        ) as download:
            if download.node != wanted:
                raise Stale(f"{path} is not what was announced")
            await self._take(download, temporary)
        if temporary.size - before != stretch.size:
            raise Offline(f"{path}: a part of it came short")


def _parts(stretch: Stretch) -> Iterator[Stretch]:
    for at in range(0, stretch.size, COPIED):
        yield Stretch(stretch.is_here, stretch.offset + at, min(COPIED, stretch.size - at))


def _extend(found: list[Stretch], stretch: Stretch) -> None:
    """Add a stretch; one that goes on where the last one ends becomes part of it."""
    if found:
        last = found[-1]
        if last.is_here == stretch.is_here and last.offset + last.size == stretch.offset:
            found[-1] = Stretch(last.is_here, last.offset, last.size + stretch.size)
            return
    found.append(stretch)
