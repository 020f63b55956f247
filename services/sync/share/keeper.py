"""The plain directory kept as the log says, and the log kept as the directory says.

One process does this for a directory: the one that holds the folder's lock. Others that share it
work with the log and the chunks alone; one of them takes over when the holder is gone.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from functools import partial

import structlog

from services.sync.content.contents import Contents
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import Folder, InTheWay, NotThere
from services.sync.disk.plain import ContentMissing, PlainDirectory
from services.sync.disk.seen import SeenTable
from services.sync.disk.survey import Found, Survey
from services.sync.rules.changes import Author, conflict_copy
from services.sync.rules.operations import content_of
from services.sync.rules.tree import Effect, Node, Operation, ShareTree
from services.sync.share.paths import HIDDEN

_log = structlog.get_logger("quantum.sync")

FAILURES = (OSError, InTheWay, NotThere, ContentMissing)
"""What may keep an operation from being carried out here; it is in the log all the same."""


class Keeper:
    """One plain directory. Its blocking parts run under the lock of the share, one at a time."""

    def __init__(
        self,
        folder: Folder,
        contents: Contents,
        tree: Callable[[], ShareTree],
        author: Callable[[], Author],
        quiet: Callable[[str], float],
    ) -> None:
        self.folder = folder
        self._contents = contents
        self._tree = tree
        self._author = author
        self.seen = SeenTable()
        self.plain = PlainDirectory(folder, self.seen, contents.directory)
        self.survey = Survey(folder, self.seen, contents.directory, quiet)
        self.pending: set[str] = set()
        """Paths where an operation could not be carried out; ``repair`` tries again."""
        self._lock: int | None = None

    @property
    def is_keeping(self) -> bool:
        """Whether this process has the directory."""
        return self._lock is not None

    def try_keep(self, log: str, *, is_unseen: bool = False) -> bool:
        """Take the directory for that log if nobody has it. Blocks. sqlite3.Error, OSError: a full disk.

        ``is_unseen``: what was seen of it before does not count.
        """
        if self._lock is None:
            lock = self.folder.try_lock()
            if lock is not None:
                try:
                    self.seen.open(f"{self.folder.root}/{HIDDEN}/seen.db", log, is_unseen=is_unseen)
                except BaseException:
                    os.close(lock)
                    raise
                self._lock = lock
        return self._lock is not None

    def close(self) -> None:
        """Give the directory up."""
        if self._lock is not None:
            self.seen.close()
            os.close(self._lock)
            self._lock = None

    def give_up(self) -> None:
        """Give the directory up though it be in disorder: who takes it looks at all of it. Blocks."""
        try:
            self.seen.close()
        except sqlite3.Error as error:  # what was seen last is not noted: as after a power cut
            _log.warning("share_seen_not_noted", reason=str(error))
            self.seen.give_up()
        self.pending.clear()
        self.plain.copies.clear()
        self.close()

    def wants_content(self, effect: Effect) -> bool:
        """Whether an operation brought a content that the directory does not have."""
        if not self.is_keeping or len(effect.put) != 1 or effect.put[0].is_directory:
            return False
        known = self.seen.paths.get(effect.put[0].path)
        return known is None or known.hash != effect.put[0].hash

    async def manifest_for(self, effect: Effect) -> Manifest | None:
        """Bring the content of an operation's file here; None when it has none, or nobody has it."""
        files = [node for node in effect.put if not node.is_directory]
        if len(effect.put) != 1 or not files:
            return None
        return await self._fetch(files[0])

    async def _fetch(self, node: Node) -> Manifest | None:
        manifest = await self._contents.manifest(node.hash, node.size)
        if manifest is not None and await self._contents.fetch(manifest):
            return manifest
        return None

    def carry_out(
        self, operation: Operation, effect: Effect, manifest: Manifest | None, temporary: str | None
    ) -> None:
        """Do to the directory what an operation did to the tree. Never fails: what it cannot is pending.

        It is durable after ``plain.sync``.
        """
        kind, body = content_of(operation)
        if kind == "Move" and self.plain.move(body["from"], body["to"]):
            self._move_pending(body["from"], body["to"])
            return
        for path in effect.removed:
            self._try(path, partial(self.plain.remove, path, self._name_copy))
        for node in effect.put:
            known = self.seen.paths.get(node.path)
            if known is not None and (known.hash, known.is_directory) == (
                node.hash,
                node.is_directory,
            ):
                continue
            if kind == "Move" and not node.is_directory:
                self.pending.add(node.path)  # its content is put together by `repair`
                continue
            self._try(node.path, partial(self._put, node, manifest, temporary))

    def rename_seen(self, source: str, to: str) -> None:
        """Note that somebody renamed what the log has renamed as well."""
        self.seen.rename(source, to)
        self._move_pending(source, to)

    def _move_pending(self, source: str, to: str) -> None:
        """What was not carried out below a directory is now to be done where the directory is."""
        self.pending = {
            to + path[len(source) :] if path == source or path.startswith(source + "/") else path
            for path in self.pending
        }

    def _put(self, node: Node, manifest: Manifest | None, temporary: str | None) -> None:
        if node.is_directory:
            self.plain.make_directory(node.path, self._name_copy)
        else:
            self.plain.put_file(node, manifest, temporary, self._name_copy)

    def _try(self, path: str, work: Callable[[], None]) -> None:
        try:
            work()
            self.pending.discard(path)
        except FAILURES as error:
            self.pending.add(path)
            _log.warning("share_file_not_written", path=path, reason=str(error))

    def _name_copy(self, path: str) -> str:
        return conflict_copy(self._tree(), path, self._author())

    def differences(self) -> set[str]:
        """Return the paths where the directory was last seen otherwise than the tree is. Blocks."""
        tree, seen = self._tree(), self.seen.paths
        found = {
            path
            for path, node in tree.nodes.items()
            if (known := seen.get(path)) is None
            or known.hash != node.hash
            or known.is_directory != node.is_directory
        }
        return found | {path for path in list(seen) if path not in tree.nodes}

    async def repair(self, paths: set[str]) -> None:
        """Make these paths as the tree has them. The caller holds the lock of the share."""
        tree = self._tree()
        gone = sorted((p for p in paths if tree.get(p) is None), reverse=True)
        for path in gone:
            remove = partial(self.plain.remove, path, self._name_copy)
            await asyncio.to_thread(self._try, path, remove)
            if path not in self.seen.paths:
                self.pending.discard(path)
        for path in sorted(paths):
            node = tree.get(path)
            if node is None:
                continue
            manifest = None if node.is_directory else await self._fetch(node)
            await asyncio.to_thread(self._try, path, partial(self._put, node, manifest, None))
        await asyncio.to_thread(self.plain.sync)

    def set_aside(self, found: Found) -> None:
        """Give what was found another name: the share's own version takes this one. Blocks."""
        self._try(found.path, lambda: self.plain.set_aside(found.path, self._name_copy))

    def take_copies(self) -> set[str]:
        """Return the conflict copies made since the last call: they want to be looked at."""
        copies, self.plain.copies = self.plain.copies, []
        return set(copies)
