"""Chunks as files named for their hash. All functions block; callers run them in a thread.

A chunk is written under another name, synced and renamed: what has its name is whole. Processes that
share the directory write the same bytes to the same name.
"""

from __future__ import annotations

import enum
import hashlib
import io
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from services.sync.content.cutting import LARGEST, SMALLEST, cut, hash_of
from services.sync.content.manifest import EMPTY, Manifest
from services.sync.content.packs import PACK, Packs
from services.sync.disk.folder import SYNCED_ONE_BY_ONE
from services.sync.disk.kernel import begin_to_sync, sync_file_system

CHUNKS, MANIFESTS, PACKS = "chunks", "manifests", "packs"

ABANDONED = 24 * 3600.0
"""Seconds after which what no version names may go: the longest that an upload may take."""

UNCERTAIN = REFRESHED = 3600.0
"""Seconds: a younger file may be one that another upload has not synced yet (the kernel writes by itself
after half a minute); an older one has its time set again, so that it does not look abandoned."""


class ChunkDirectory:
    """Chunks and manifests below one directory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.saved = 0
        """Bytes that were here already when they came."""
        self.packs = Packs(f"{root}/{PACKS}")

    def add_file(self, descriptor: int, *, is_urgent: bool = True) -> Manifest:
        """Cut an open file, store what is new, return its manifest. The offset ends at its end.

        Durable when it returns, unless it is not ``is_urgent``: then after the next ``sync``.
        """
        os.lseek(descriptor, 0, os.SEEK_SET)
        fresh: list[str] = []
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            manifest = self._add(cut(file), fresh)
        if is_urgent:
            self.sync(fresh)
        return manifest

    def add_all(self, contents: Sequence[tuple[str, bytes]], fresh: list[str]) -> list[Manifest]:
        """The same for contents in memory, each with its hash; what is small and new goes into one pack.

        Durable after a ``sync`` of what it adds to ``fresh``.
        """
        self.packs.refresh()
        small: dict[str, bytes] = {}
        manifests: list[Manifest] = []
        for name, data in contents:
            if len(data) > SMALLEST:
                manifests.append(self._add(cut(io.BytesIO(data)), fresh))
                continue
            manifests.append(Manifest.of_one(name, len(data)))
            if data and name not in small and self._is_new(name, data, fresh):
                small[name] = data
        if len(small) > SYNCED_ONE_BY_ONE:
            fresh.append(self.packs.add(small))
        else:
            for name, data in small.items():
                self._write(CHUNKS, name, data)
                fresh.append(self._path(CHUNKS, name))
        return manifests

    def _is_new(self, name: str, data: bytes, fresh: list[str]) -> bool:
        """Whether a small chunk has to be written; one that may not be durable is added to ``fresh``."""
        path = self.packs.path_of(name) or self._path(CHUNKS, name)
        try:
            status = os.stat(path)
            if path.endswith(name) and status.st_size != len(data):
                return True
            age = _refresh(path, status.st_mtime)
        except FileNotFoundError:
            return True
        self.saved += len(data)
        if age < UNCERTAIN:
            fresh.append(path)
        return False

    def _add(self, pieces: Iterator[bytes], fresh: list[str]) -> Manifest:
        whole = hashlib.sha256()
        chunks: list[tuple[str, int]] = []
        for data in pieces:
            name = hash_of(data)
            whole.update(data)
            if data:
                chunks.append((name, len(data)))
                if self._write(CHUNKS, name, data) is not _Was.OLD:
                    fresh.append(self._path(CHUNKS, name))
        size = sum(size for _, size in chunks)
        manifest = Manifest(whole.hexdigest(), size, tuple(chunks))
        if len(chunks) > 1:
            self._write(MANIFESTS, manifest.hash, manifest.encode())
            fresh.append(self._path(MANIFESTS, manifest.hash))
        return manifest

    def add_chunk(self, name: str, data: bytes) -> bool:
        """Store a chunk durably; whether it was new. The caller has compared its hash."""
        was = self._write(CHUNKS, name, data)
        if was is not _Was.OLD:
            self.sync([self._path(CHUNKS, name)])
        return was is _Was.ABSENT

    def add_manifest(self, manifest: Manifest) -> None:
        """Store a list of chunks; it and all that was written before is durable when this returns."""
        if len(manifest.chunks) > 1:
            self._write(MANIFESTS, manifest.hash, manifest.encode())
        self.sync()

    def add_chunks(self, pieces: Sequence[tuple[str, bytes]]) -> int:
        """Store chunks whose hashes were compared; return how many were new. Durable after a ``sync``."""
        found = [self._write(CHUNKS, name, data) for name, data in pieces]
        return found.count(_Was.ABSENT)

    def manifest(self, hash: str, size: int) -> Manifest | None:
        """Return the chunks of a content, None when it is not here (a chunk of it may still be missing).

        As with ``has``: what was asked for is not swept away for a day.
        """
        if hash == EMPTY:
            return Manifest(EMPTY, 0, ())
        if size <= LARGEST and self.has(hash):
            return Manifest.of_one(hash, size)
        path = self._path(MANIFESTS, hash)
        with suppress(FileNotFoundError):
            _refresh(path, os.stat(path).st_mtime)
        return self.listed(hash)

    def listed(self, hash: str) -> Manifest | None:
        """Return the list of chunks of a content that has one here."""
        data = self._read(MANIFESTS, hash)
        return None if data is None else Manifest.decode(hash, data)

    def has(self, name: str) -> bool:
        """Whether a chunk is here; who asks will need it, so it is not swept away for a day."""
        for path in (self.packs.path_of(name), self._path(CHUNKS, name)):
            with suppress(FileNotFoundError):
                if path is not None:
                    _refresh(path, os.stat(path).st_mtime)
                    return True
        return self.packs.refresh() and self.packs.path_of(name) is not None

    def chunk(self, name: str) -> bytes | None:
        """Return a chunk, None when it is not here or its bytes are not its own any more."""
        data = self.packs.read(name)
        if data is not None:
            return data
        data = self._read(CHUNKS, name)
        if data is None:
            return self.packs.read(name) if self.packs.refresh() else None
        if hash_of(data) == name:
            return data
        with suppress(FileNotFoundError):
            os.unlink(self._path(CHUNKS, name))  # a power cut, or a bad disk: let it come again
        return None

    def write_file(self, manifest: Manifest, descriptor: int) -> bool:
        """Write a content into an open file, checked; False when something of it is missing.

        The whole is hashed, not each chunk. Chunks that spoil it are removed, so they can come again.
        """
        digest = hashlib.sha256()
        with ThreadPoolExecutor(1, "sync-hash") as beside:  # hashing takes as long as copying
            hashed: Future[None] | None = None
            for name, size in manifest.chunks:
                data = self._read(CHUNKS, name) or self.packs.read(name)
                if data is None or len(data) != size:
                    break
                if hashed is not None:
                    hashed.result()
                hashed = beside.submit(digest.update, data)
                write_all(descriptor, data)
                begin_to_sync(descriptor)
        if digest.hexdigest() == manifest.hash:
            return True
        for name, _ in manifest.chunks:
            self.chunk(name)
        return False

    def sync(self, paths: list[str] | None = None) -> None:
        """Make files durable; without ``paths`` all that was written before."""
        if paths is not None and len(paths) <= SYNCED_ONE_BY_ONE:
            for path in paths:
                _sync(path)
                _sync(os.path.dirname(path))
            return
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)

    def sweep(self, needed: Iterable[str]) -> int:
        """Remove old chunks and manifests that no content in ``needed`` uses; return the bytes freed."""
        kept = set(needed)
        for name in list(kept):
            if (manifest := self.listed(name)) is not None:
                kept.update(chunk for chunk, _ in manifest.chunks)
        limit = time.time() - ABANDONED  # noqa: TID251 - compared with the file system's own clock
        freed = 0
        for kind in (CHUNKS, MANIFESTS):
            for folder, _, names in os.walk(f"{self.root}/{kind}"):
                for name in names:
                    if name not in kept:
                        freed += _drop_old(f"{folder}/{name}", limit)
        return freed + self.packs.sweep(kept, limit)

    def _path(self, kind: str, name: str) -> str:
        return f"{self.root}/{kind}/{name[:2]}/{name}"

    def _read(self, kind: str, name: str) -> bytes | None:
        try:
            with open(self._path(kind, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _write(self, kind: str, name: str, data: bytes) -> _Was:
        """Write a file under its name unless it is there. Not durable yet, unless it is OLD."""
        path = self._path(kind, name)
        try:
            status = os.stat(path)
            if status.st_size == len(data):
                self.saved += len(data)
                age = _refresh(path, status.st_mtime)
                return _Was.RECENT if age < UNCERTAIN else _Was.OLD
        except FileNotFoundError:
            pass  # as usual
        fresh = f"{path}.{secrets.token_hex(4)}"
        try:
            descriptor = _create(fresh)
            try:
                write_all(descriptor, data)
                if len(data) > SMALLEST:
                    begin_to_sync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(fresh, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise
        return _Was.ABSENT


def _drop_old(path: str, limit: float) -> int:
    """Remove a file that is from before ``limit``; return the bytes freed.

    It is taken away first and looked at then: who renewed it in between gets it back, who comes after finds
    none and writes it anew.
    """
    going = f"{path}.{secrets.token_hex(4)}"
    try:
        if os.stat(path).st_mtime >= limit:
            return 0
        os.rename(path, going)
    except FileNotFoundError:  # another process that keeps this directory was faster
        return 0
    status = os.stat(going)
    if status.st_mtime >= limit:
        os.rename(going, path)
        return 0
    os.unlink(going)
    return status.st_size


def _refresh(path: str, modified: float) -> float:
    """Let an old file be young again, since it is needed; return how old it was."""
    age = time.time() - modified  # noqa: TID251 - the file system's own clock
    if age > REFRESHED:
        os.utime(path)
    return age


class _Was(enum.Enum):
    """What was there under a name: RECENT files may not be durable, another upload wrote them."""

    ABSENT = enum.auto()
    RECENT = enum.auto()
    OLD = enum.auto()


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:  # the first of 256 in its directory
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, flags, 0o644)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        if path.endswith(PACK):  # merged with others: those are durable
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
