"""Small files in memory, each proven current by one ``stat`` per request.

A file is the same one when device, inode, size, modification and change time are: then its bytes are
those that were read, and they were read from inside the root, whichever way the path leads there now.
"""

# ruff: noqa: PTH116 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import os

from quantum.http.files.answer import Representation
from quantum.http.message import Response

LARGEST = 64 * 1024
"""Bytes of the largest file kept: pages, styles, scripts, icons. Larger ones gain little."""

CAPACITY = 32 * 1024 * 1024
"""Bytes of content kept by one handler; enough for a thousand typical files."""

ENTRY_COST = 1024
"""Bytes charged for an entry beside its content (response, fields, keys): bounds empty files too."""

SETTLED = 2.0
"""Seconds a file must have been left alone before it is kept. Time stamps move in steps (4 ms on
ext4, 2 s on FAT): two writes in one step leave the same stamp, and the second would be missed."""

Identity = tuple[int, int, int, int, int]


def identity_of(status: os.stat_result) -> Identity:
    """Return what changes whenever the file at a path changes."""
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns, status.st_dev)


class Content:
    """One file: where it is, which version, what is known of it, its bytes."""

    __slots__ = ("data", "identity", "is_index", "name", "representation", "whole")

    def __init__(
        self,
        name: str,
        identity: Identity,
        representation: Representation,
        data: bytes,
        *,
        is_index: bool,
    ) -> None:
        """``is_index`` tells a file that answers for its directory."""
        self.name = name
        self.identity = identity
        self.representation = representation
        self.data = data
        self.is_index = is_index
        self.whole = Response(200, representation.whole(), data)
        """The answer to a plain GET, shared by all of them: nobody may change it."""

    @property
    def cost(self) -> int:
        """Bytes that keeping this takes."""
        return len(self.data) + ENTRY_COST


class Contents:
    """The contents kept by one handler, by the key of the request. Oldest out first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: dict[str, Content] = {}
        self._cost = 0

    def __len__(self) -> int:
        return len(self._entries)

    def current(self, key: str) -> Content | None:
        """Return the entry of ``key`` if its file is still that version; forget it otherwise."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            if identity_of(os.stat(entry.name)) == entry.identity:
                return entry
        except OSError:
            pass  # gone or out of reach: the slow path finds the right answer
        self.forget(key)
        return None

    def keep(self, key: str, entry: Content) -> None:
        """Add an entry, dropping the oldest ones as needed."""
        self.forget(key)
        self._entries[key] = entry
        self._cost += entry.cost
        while self._cost > self._capacity:
            self.forget(next(iter(self._entries)))

    def forget(self, key: str) -> None:
        """Drop an entry; fine when there is none."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._cost -= entry.cost
