"""Operations carried out in the plain directory, never over a change that nobody has read yet.

Before a name is given or freed, what is there is compared with what was seen there last. Anything else
is somebody's work: it is renamed to a conflict copy beside, where the survey finds and adopts it.
All functions block; callers run them in a thread, one at a time.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable

import structlog

from services.sync.content.directory import ChunkDirectory
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import Folder, InTheWay, NotThere
from services.sync.disk.seen import Seen, SeenTable
from services.sync.protocol import nanoseconds
from services.sync.rules.tree import Node

READ_SIZE = 1024 * 1024
"""Bytes read at a time while hashing: large enough that Python's part of the work vanishes."""

NameCopy = Callable[[str], str]
"""Gives the name of a conflict copy for a path."""

_log = structlog.get_logger("quantum.sync")


class ContentMissing(Exception):
    """A chunk of a content is not in the directory (yet)."""


class PlainDirectory:
    """The plain directory and what was seen of it."""

    def __init__(self, folder: Folder, seen: SeenTable, chunks: ChunkDirectory) -> None:
        self.folder = folder
        self.seen = seen
        self._chunks = chunks
        self.copies: list[str] = []
        """Conflict copies made here and not adopted yet; whoever surveys takes them."""
        self._unsynced: set[str] = set()

    def sync(self) -> None:
        """Make what was done durable, and only then what was seen of it.

        What is noted as seen and gone after a power cut would look deleted by somebody.
        """
        self.folder.sync(self._unsynced)
        self._unsynced.clear()
        self.seen.flush()

    def put_file(
        self, node: Node, manifest: Manifest | None, temporary: str | None, name_copy: NameCopy
    ) -> None:
        """Let ``path`` be this content, from a temporary file or from its chunks.

        Raises OSError, InTheWay, NotThere or ContentMissing; then what was there is still there.
        """
        path = node.path
        if temporary is not None and path not in self.seen.paths:
            status = self.folder.stat_temporary(temporary)
            if self.folder.place_new(temporary, path, self._unsynced):
                self.seen.note(path, _seen(node.hash, status))
                return
        may, expected = self._make_way(path, node, name_copy)
        if not may:
            if temporary is not None:
                self.folder.drop_temporary(temporary)
            return
        temporary = temporary or self._assemble(node, manifest)
        status = self.folder.stat_temporary(temporary)
        replaced = self.folder.place(temporary, path, expected, self._unsynced)
        self.seen.note(path, _seen(node.hash, status))
        if replaced is not None:
            self._rescue(replaced, path, name_copy)

    def make_directory(self, path: str, name_copy: NameCopy) -> None:
        """Let ``path`` be a directory."""
        status = self.folder.stat(path)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            self.set_aside(path, name_copy)
            status = None
        if status is None:
            self.folder.make_directories(path, self._unsynced)
            status = self.folder.stat(path)
        if status is None:
            raise NotThere(path)
        self.seen.note(path, _seen("", status))

    def remove(self, path: str, name_copy: NameCopy) -> None:
        """Free a path that the share has no more; what was not seen stays, under a copy's name."""
        known = self.seen.paths.get(path)
        status = self.folder.stat(path)
        if status is not None and known is not None:
            if not stat.S_ISDIR(status.st_mode) and not self._is_as_seen(path, status, known):
                return  # changed since: the survey finds it, and an edit beats a deletion
            try:
                self.folder.remove(path, self._unsynced)
            except InTheWay:
                return  # a directory with something new in it: it stays, and is made again
            except NotThere:
                pass
        self.seen.forget(path)

    def move(self, source: str, to: str) -> bool:
        """Rename, with everything below; False when the disk is not as the log thinks."""
        if self.seen.paths.get(source) is None or self.folder.stat(to) is not None:
            return False
        try:
            self.folder.move(source, to)
        except (NotThere, InTheWay):
            return False
        self.seen.rename(source, to)
        return True

    def _make_way(
        self, path: str, node: Node, name_copy: NameCopy
    ) -> tuple[bool, tuple[int, int, int] | None]:
        """Whether ``path`` may be overwritten (not if it has this content), and the file it replaces."""
        status = self.folder.stat(path)
        if status is None:
            return True, None
        known = self.seen.paths.get(path)
        if stat.S_ISDIR(status.st_mode):
            self.set_aside(path, name_copy)
            return True, None
        if known is not None and self._is_as_seen(path, status, known):
            identity = (status.st_mtime_ns, status.st_size, status.st_ino)
            return known.hash != node.hash, identity
        found = self._hash(path)
        if found is not None and found[0] == node.hash:
            self.seen.note(path, _seen(*found))
            return False, None
        self.set_aside(path, name_copy)
        return True, None

    def _is_as_seen(self, path: str, status: os.stat_result, known: Seen) -> bool:
        if (status.st_mtime_ns, status.st_size, status.st_ino) == known.identity:
            return True
        found = self._hash(path)
        return found is not None and found[0] == known.hash

    def _hash(self, path: str) -> tuple[str, os.stat_result] | None:
        try:
            descriptor, status = self.folder.open(path)
        except NotThere:
            return None
        digest = hashlib.sha256()
        try:
            while data := os.read(descriptor, READ_SIZE):
                digest.update(data)
        finally:
            os.close(descriptor)
        return digest.hexdigest(), status

    def set_aside(self, path: str, name_copy: NameCopy) -> None:
        """Rename what is at ``path`` to a conflict copy."""
        copy = name_copy(path)
        while self.folder.stat(copy) is not None:
            copy = name_copy(copy)
        self.folder.move(path, copy)
        for below in [path, *self.seen.below(path)]:
            self.seen.forget(below)
        self.copies.append(copy)
        _log.warning("unseen_change_set_aside", path=path, copy=copy)

    def _rescue(self, temporary: str, path: str, name_copy: NameCopy) -> None:
        """Look at what was replaced: if somebody wrote to it in the last moment it becomes a copy."""
        copy = name_copy(path)
        while self.folder.stat(copy) is not None:
            copy = name_copy(copy)
        self.folder.place(temporary, copy)
        self.copies.append(copy)
        _log.warning("late_change_set_aside", path=path, copy=copy)

    def _assemble(self, node: Node, manifest: Manifest | None) -> str:
        if manifest is None:
            raise ContentMissing(node.path)
        temporary, descriptor = self.folder.create_temporary()
        try:
            if not self._chunks.write_file(manifest, descriptor):
                raise ContentMissing(node.path)
            modified = nanoseconds(node.modified)
            os.utime(descriptor, ns=(modified, modified))
            os.fsync(descriptor)
        except BaseException:
            self.folder.drop_temporary(temporary)
            raise
        finally:
            os.close(descriptor)
        return temporary


def _seen(digest: str, status: os.stat_result) -> Seen:
    is_directory = stat.S_ISDIR(status.st_mode)
    size = 0 if is_directory else status.st_size
    return Seen(digest, status.st_mtime_ns, size, status.st_ino, is_directory)
