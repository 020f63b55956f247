"""Small chunks that came together, in one file: a group costs one inode, not one for each chunk.

A pack is written under another name, renamed and never changed: its number of chunks, the first eight
bytes of their hashes in order, their hashes with places, then their bytes. Those first bytes are held
in memory, so looking for a chunk that is nowhere reads nothing. Processes that share the directory
find each other's packs by listing it when it changed. All functions block.
"""

from __future__ import annotations

import os
import secrets
import struct
import sys
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from services.sync.content.cutting import hash_of

MERGED_FROM = 32
"""Small packs that are made into one: a search asks each pack in memory, 0.3 µs."""

SMALL_PACK = 32 * 1024 * 1024
"""Bytes up to which a pack is small; each byte is merged once or twice in its life."""

LARGEST_PACK = 2 * SMALL_PACK
"""Bytes of a merged pack: what is in memory while one is written."""

UNSURE_NS = 100_000_000
"""A directory that changed so short a time before it was listed may change again within one step of the
file system's clock."""

LEAST_DEAD = 0.25
"""Part of a pack that nobody needs any more, from which on it is written anew without it."""

PACK = ".pack"
"""Ends the name of a whole pack."""

_HEAD = struct.Struct("<8sQ")
_MAGIC = b"QPACK\x00\x00\x01"
_PLACE = struct.Struct("<32sQI")
_PREFIX = 8


class _Pack(NamedTuple):
    """One file, and the sorted beginnings of its hashes."""

    name: str
    prefixes: array[int]
    size: int


class Packs:
    """The packs of one directory."""

    def __init__(self, root: str) -> None:
        """``root`` need not be there yet."""
        self.root = root
        self._packs: tuple[_Pack, ...] = ()
        self._listed = -1
        """The time of the directory when it was listed; -1: list it again."""
        self._lock = threading.Lock()
        self._spoiled: set[str] = set()

    def path_of(self, name: str) -> str | None:
        """Return the pack that a chunk is in, None when it is in none that is known."""
        if name in self._spoiled:
            return None
        prefix = int(name[: 2 * _PREFIX], 16)
        for pack in self._packs:
            at = _position(pack, prefix)
            if at >= 0 and self._find(pack, at, bytes.fromhex(name), is_read=False) is not None:
                return f"{self.root}/{pack.name}"
        return None

    def read(self, name: str) -> bytes | None:
        """Return a chunk, None when it is in no pack that is known, or its bytes are not its own."""
        prefix = int(name[: 2 * _PREFIX], 16)
        for pack in self._packs:
            at = _position(pack, prefix)
            if at < 0:
                continue
            data = self._find(pack, at, bytes.fromhex(name), is_read=True)
            if data is not None and hash_of(data) == name:
                return data
            if data is not None:
                self._spoiled.add(name)  # a power cut, or a bad disk: let it come again
        return None

    def refresh(self) -> bool:
        """Hear of packs that came or went; whether there were any."""
        try:
            changed = os.stat(self.root).st_mtime_ns
        except FileNotFoundError:
            return False
        if changed == self._listed:
            return False
        with self._lock:
            before = self._packs
            known = {pack.name: pack for pack in before}
            names = sorted(name for name in os.listdir(self.root) if name.endswith(PACK))
            found = (known.get(name) or self._load(name) for name in names)
            self._packs = tuple(pack for pack in found if pack is not None)
            is_sure = time.time_ns() - changed > UNSURE_NS
            self._listed = changed if is_sure else -1
        return before != self._packs

    def add(self, chunks: Mapping[str, bytes], modified: float | None = None) -> str:
        """Write chunks as one pack and return its path. The file is whole, and not durable yet."""
        names = sorted(chunks)
        prefixes = array("Q", [int(name[: 2 * _PREFIX], 16) for name in names])
        places, at = [], 0
        for name in names:
            places.append(_PLACE.pack(bytes.fromhex(name), at, len(chunks[name])))
            at += len(chunks[name])
        head = _HEAD.pack(_MAGIC, len(names))
        body = [head, _little(prefixes).tobytes(), *places, *(chunks[name] for name in names)]
        path = self._write(b"".join(body), modified)
        with self._lock:
            size = _start(len(names)) + at
            self._packs = (*self._packs, _Pack(os.path.basename(path), prefixes, size))
            self._spoiled.difference_update(names)
        return path

    def merge(self) -> bool:
        """Make few packs of many small ones; whether there was anything to do. Durable when it returns."""
        self.refresh()
        small = [pack for pack in self._packs if pack.size < SMALL_PACK]
        if len(small) < MERGED_FROM:
            return False
        for group in _grouped(small):
            self._rewrite(group, None)
        return True

    def sweep(self, needed: set[str], before: float) -> int:
        """Drop what is in packs from ``before`` a time and not needed; return the bytes freed."""
        self.refresh()
        freed = 0
        for pack in self._packs:
            try:
                modified = os.stat(f"{self.root}/{pack.name}").st_mtime
            except FileNotFoundError:
                continue
            if modified >= before:
                continue
            dead = sum(
                size + _PREFIX + _PLACE.size
                for name, _, size in self._places(pack)
                if name not in needed
            )
            if dead > LEAST_DEAD * pack.size:
                freed += self._rewrite([pack], needed)
        return freed + self._drop_broken(before)

    def _drop_broken(self, before: float) -> int:
        """Remove what a crash left from ``before`` a time; return the bytes freed."""
        known = {pack.name for pack in self._packs}
        freed = 0
        for name in set(os.listdir(self.root)) - known if os.path.isdir(self.root) else ():
            with suppress(FileNotFoundError):
                status = os.stat(f"{self.root}/{name}")
                if status.st_mtime < before and self._load(name) is None:
                    os.unlink(f"{self.root}/{name}")
                    freed += status.st_size
        return freed

    def _rewrite(self, packs: list[_Pack], needed: set[str] | None) -> int:
        """Write the chunks of packs anew, those that are needed; return by how much they shrank."""
        chunks: dict[str, bytes] = {}
        modified, left = 0.0, 0
        for pack in packs:
            path = f"{self.root}/{pack.name}"
            with suppress(FileNotFoundError), open(path, "rb") as file:
                modified = max(modified, os.fstat(file.fileno()).st_mtime)
                data = file.read()
                for name, at, size in self._places(pack):
                    piece = data[at : at + size]
                    if (needed is None or name in needed) and hash_of(piece) == name:
                        chunks[name] = piece
        if chunks:
            path = self.add(chunks, modified)
            _sync(path)
            _sync(self.root)
            left = os.stat(path).st_size
        for pack in packs:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.root}/{pack.name}")
        gone = {pack.name for pack in packs}
        with self._lock:
            self._packs = tuple(pack for pack in self._packs if pack.name not in gone)
        return sum(pack.size for pack in packs) - left

    def _write(self, data: bytes, modified: float | None) -> str:
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        path = f"{self.root}/{secrets.token_hex(12)}"
        try:
            with open(path, "xb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            if modified is not None:
                os.utime(path, (modified, modified))
            os.rename(path, path + PACK)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        return path + PACK

    def _load(self, name: str) -> _Pack | None:
        """Read the beginning of a pack; None for one that a power cut spoiled: it was never used."""
        try:
            with open(f"{self.root}/{name}", "rb", buffering=0) as file:
                magic, count = _HEAD.unpack(file.read(_HEAD.size))
                size = os.fstat(file.fileno()).st_size
                if magic != _MAGIC or size < _start(count):
                    return None
                prefixes: array[int] = array("Q")
                prefixes.frombytes(file.read(count * _PREFIX))
        except (FileNotFoundError, struct.error):
            return None
        return _Pack(name, _little(prefixes), size)

    def _find(self, pack: _Pack, at: int, wanted: bytes, *, is_read: bool) -> bytes | None:
        """Return the bytes of a chunk whose hash begins like the one at ``at``; b"" unless they are read."""
        try:
            descriptor = os.open(f"{self.root}/{pack.name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # merged with others meanwhile
            return None
        try:
            first = _HEAD.size + len(pack.prefixes) * _PREFIX
            prefix = int.from_bytes(wanted[:_PREFIX], "big")
            while at < len(pack.prefixes) and pack.prefixes[at] == prefix:
                place = os.pread(descriptor, _PLACE.size, first + at * _PLACE.size)
                name, offset, size = _PLACE.unpack(place)
                if name == wanted:
                    start = _start(len(pack.prefixes)) + offset
                    return os.pread(descriptor, size, start) if is_read else b""
                at += 1
        finally:
            os.close(descriptor)
        return None

    def _places(self, pack: _Pack) -> Iterator[tuple[str, int, int]]:
        """Yield the chunks of a pack: name, place in the file, size."""
        count = len(pack.prefixes)
        try:
            with open(f"{self.root}/{pack.name}", "rb") as file:
                file.seek(_HEAD.size + count * _PREFIX)
                places = file.read(count * _PLACE.size)
        except FileNotFoundError:
            return
        for name, offset, size in _PLACE.iter_unpack(places):
            yield name.hex(), _start(count) + offset, size


def _start(count: int) -> int:
    """Return where the bytes of the chunks begin."""
    return _HEAD.size + count * (_PREFIX + _PLACE.size)


def _position(pack: _Pack, prefix: int) -> int:
    """Return where a beginning of a hash is in a pack, -1 when it is not."""
    at = bisect_left(pack.prefixes, prefix)
    return at if at < len(pack.prefixes) and pack.prefixes[at] == prefix else -1


def _little(numbers: array[int]) -> array[int]:
    """Return numbers as they are in a file, or from one: little endian."""
    if sys.byteorder == "little":
        return numbers
    numbers = numbers[:]
    numbers.byteswap()
    return numbers


def _grouped(packs: list[_Pack]) -> Iterator[list[_Pack]]:
    """Yield packs in groups that are bearable as one."""
    group: list[_Pack] = []
    size = 0
    for pack in packs:
        if group and size + pack.size > LARGEST_PACK:
            yield group
            group, size = [], 0
        group.append(pack)
        size += pack.size
    if len(group) > 1:
        yield group


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
