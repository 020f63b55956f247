"""What is known of the files of a share: metadata, hashes, and what was announced last.

A hash is computed when it is first asked for and kept while the file's identity (time, size, inode)
stays; an announcement is kept until the next one, so that a change on the disk can be told from the
echo of our own. Functions that hash block; callers run them in a thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.sync.protocol import rfc3339
from services.sync.share.folder import Folder, NotThere

READ_SIZE = 1024 * 1024
"""Bytes read at a time while hashing: large enough that Python's part of the work vanishes."""

SETTLED_NS = 50_000_000
"""Age (ns) a file must have before its hash is kept: two writes within one step of the file system's
clock (4 ms on Linux) leave the same time stamp."""

Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Metadata:
    """One file or directory. ``hash`` is "" for a directory, and for a file that nobody read yet."""

    path: str
    size: int
    hash: str
    modified_ns: int
    is_directory: bool
    inode: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the specification's FileMetadata."""
        return {
            "path": self.path,
            "size": self.size,
            "hash": self.hash,
            "modified": rfc3339(self.modified_ns),
            "is_directory": self.is_directory,
        }

    def is_same_version(self, other: Metadata | None) -> bool:
        """Whether nobody needs to hear of a change: touching a file is none."""
        if other is None or self.is_directory != other.is_directory:
            return False
        if self.is_directory or (self.hash and other.hash):
            return self.hash == other.hash
        return self.identity == other.identity  # one was only looked at from outside

    @property
    def identity(self) -> Identity:
        """What changes whenever the content does."""
        return (self.modified_ns, self.size, self.inode)


class Tree:
    """The index of one folder. About 400 bytes per file."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._hashes: dict[str, tuple[Identity, str]] = {}
        self.announced: dict[str, Metadata] = {}
        """What subscribers know: the state at the start, and every operation since."""

    def describe(self, path: str) -> Metadata | None:
        """Return the metadata of what is at ``path`` now, None when nothing is. Blocks."""
        status = self._folder.stat(path)
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            return _from_outside(path, status)
        return self._describe_file(path, status)

    def listing(
        self, path: str, *, recursive: bool, after: str, limit: int
    ) -> tuple[list[Metadata], str | None]:
        """Return what is below ``path`` in a fixed order, from behind ``after``, and where to go on. Blocks."""
        page: list[Metadata] = []
        start = after.split("/")
        for below, status in self._folder.scan(path, recursive=recursive):
            if after and below.split("/") <= start:
                continue
            if len(page) == limit:
                return page, page[-1].path
            if stat.S_ISDIR(status.st_mode):
                page.append(_from_outside(below, status))
            elif (file := self._describe_file(below, status)) is not None:
                page.append(file)
        return page, None

    def learn(self, metadata: Metadata) -> None:
        """Note what is announced, and its hash, which was computed while the content was written."""
        self.announced[metadata.path] = metadata
        if metadata.hash:
            self._hashes[metadata.path] = (metadata.identity, metadata.hash)

    def index(self) -> None:
        """Note every path that is there, without reading contents: the state before any change. Blocks."""
        for path, status in self._folder.scan():
            self.announced.setdefault(path, _from_outside(path, status))

    def compare(self, paths: set[str]) -> list[tuple[str, Metadata | None]]:
        """Return each path at or below ``paths`` that is not as announced, and what is there. Blocks.

        Contents of a directory that is gone come before it, those of a new one after it.
        """
        candidates: dict[str, None] = {}
        for path in sorted(paths):
            candidates.update(dict.fromkeys(self.below(path)))
            if path:
                candidates[path] = None
            candidates.update((below, None) for below, _ in self._folder.scan(path))
        changes: list[tuple[str, Metadata | None]] = []
        for path in candidates:
            before, status = self.announced.get(path), self._folder.stat(path)
            outside = None if status is None else _from_outside(path, status)
            if before is outside or (outside is not None and outside.identity == _identity(before)):
                continue
            now = None if outside is None else self.describe(path)
            if now is None or not now.is_same_version(before):
                changes.append((path, now))
        return changes

    def forget(self, path: str) -> None:
        """Drop what is known of a path that is gone."""
        self.announced.pop(path, None)
        self._hashes.pop(path, None)

    def below(self, path: str) -> Iterator[str]:
        """Yield the announced paths below a directory ("": the root), deepest first."""
        prefix = path + "/" if path else ""
        yield from sorted((p for p in self.announced if p.startswith(prefix)), reverse=True)

    def _describe_file(self, path: str, status: os.stat_result) -> Metadata | None:
        identity = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._hashes.get(path)
        if known is not None and known[0] == identity:
            return _file(path, known[1], status)
        try:
            descriptor, status = self._folder.open(path)
        except NotThere:
            return None
        try:
            digest = _hash_of(descriptor)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        identity = (after.st_mtime_ns, after.st_size, after.st_ino)
        is_stable = after.st_mtime_ns == status.st_mtime_ns
        if is_stable and time.time_ns() - after.st_mtime_ns > SETTLED_NS:
            self._hashes[path] = (identity, digest)
        return _file(path, digest, after)


def _identity(metadata: Metadata | None) -> Identity | None:
    return None if metadata is None else metadata.identity


def _from_outside(path: str, status: os.stat_result) -> Metadata:
    """Return what can be told without reading: of a file, all but the hash."""
    is_directory = stat.S_ISDIR(status.st_mode)
    size = 0 if is_directory else status.st_size
    return Metadata(path, size, "", status.st_mtime_ns, is_directory, status.st_ino)


def _file(path: str, digest: str, status: os.stat_result) -> Metadata:
    return Metadata(
        path, status.st_size, digest, status.st_mtime_ns, is_directory=False, inode=status.st_ino
    )


def _hash_of(descriptor: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(descriptor, READ_SIZE):
        digest.update(chunk)
    return digest.hexdigest()
