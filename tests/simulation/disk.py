"""A file system in memory, with what a power cut does to it.

Metadata is journalled in order, as ext4, XFS and Btrfs do it: after a power cut a prefix of the
operations has happened, at least up to the last sync. A file's bytes are there only if the file was
synced; otherwise it is empty or cut short.
"""

import errno
import os
from collections.abc import Callable
from random import Random
from typing import Any

from services.sync.client.disk.calls import Calls, Status

TICK_NS = 4_000_000


class Inode:
    __slots__ = ("changed", "data", "durable", "modified", "names", "number")

    def __init__(self, number: int, names: dict[str, "Inode"] | None, at: int) -> None:
        self.number = number
        self.names = names  # of a directory
        self.data = b""
        self.durable = b""
        self.modified = self.changed = at

    def copy(self) -> "Inode":
        twin = Inode(self.number, None, self.modified)
        twin.data, twin.durable, twin.changed = self.data, self.durable, self.changed
        if self.names is not None:
            twin.names = {name: inode.copy() for name, inode in self.names.items()}
        return twin


def failure(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class Disk:
    """The tree, its time stamps, and what of it is durable. ``now_ns`` is the machine's wall clock."""

    def __init__(self, now_ns: Callable[[], int], *, may_lose_power: bool = False) -> None:
        self.now_ns = now_ns
        self.may_lose_power = may_lose_power
        self.count = 0
        self.root = self.node({})
        self.is_mounted = True
        self.journal: list[tuple[Any, ...]] = []
        self.durable = self.root.copy()

    def stamp(self) -> int:
        return self.now_ns() // TICK_NS * TICK_NS

    def node(self, names: dict[str, Inode] | None = None) -> Inode:
        self.count += 1
        return Inode(self.count, names, self.stamp())

    def find(self, path: str) -> Inode:
        if not self.is_mounted:
            if path == "/":
                return Inode(0, {}, 0)
            raise failure(errno.ENOENT, path)
        inode = self.root
        for part in path.split("/"):
            if not part:
                continue
            if inode.names is None:
                raise failure(errno.ENOTDIR, path)
            if part not in inode.names:
                raise failure(errno.ENOENT, path)
            inode = inode.names[part]
        return inode

    def parent(self, path: str) -> tuple[dict[str, Inode], str]:
        above, _, name = path.rpartition("/")
        inode = self.find(above or "/")
        if inode.names is None:
            raise failure(errno.ENOTDIR, path)
        return inode.names, name

    def change(self, *operation: Any) -> None:
        """Carry out a metadata operation and write it down."""
        apply(self, operation)
        if self.may_lose_power:
            self.journal.append(operation)

    def sync(self) -> None:
        """The journal is on the platter."""
        self.journal.clear()
        if self.may_lose_power:
            self.durable = self.root.copy()

    def lose_power(self, random: Random) -> None:
        """Come back with what was durable and some prefix of what was not."""
        journal, self.journal = self.journal, []
        self.root = self.durable.copy()
        for operation in journal[: random.randint(0, len(journal))]:
            try:
                apply(self, operation)
            except OSError:
                break
        tear(self.root, random)
        self.durable = self.root.copy()

    def files(self, path: str = "/") -> dict[str, bytes | None]:
        """Everything a person sees: contents by path, None for directories."""
        found: dict[str, bytes | None] = {}

        def walk(inode: Inode, prefix: str) -> None:
            for name, below in sorted((inode.names or {}).items()):
                if not prefix and name == ".quantum":
                    continue
                found[prefix + name] = below.data if below.names is None else None
                walk(below, f"{prefix}{name}/")

        walk(self.find(path), "")
        return found


def harden(inode: Inode) -> None:
    """Put the bytes of all files on the platter."""
    inode.durable = inode.data
    for below in (inode.names or {}).values():
        harden(below)


def tear(inode: Inode, random: Random) -> None:
    """Drop the bytes of files that were not synced."""
    if inode.names is None:
        if inode.data != inode.durable:
            inode.data = inode.durable = inode.data[: random.randrange(len(inode.data) or 1)]
        return
    for below in inode.names.values():
        tear(below, random)


def apply(disk: Disk, operation: tuple[Any, ...]) -> None:
    kind, *rest = operation
    names, name = disk.parent(rest[0])
    if kind == "link":
        names[name] = rest[1]
    elif kind == "unlink":
        names.pop(name, None)
    else:
        other, new = disk.parent(rest[1])
        if name not in names:
            raise failure(errno.ENOENT, rest[0])
        if kind == "swap":
            if new not in other:
                raise failure(errno.ENOENT, rest[1])
            names[name], other[new] = other[new], names[name]
        else:
            inode = names.pop(name)
            other[new] = inode
            inode.changed = disk.stamp()


class SimulatedCalls:
    """The system calls of one process; ``point`` is called before and after each: it may crash there."""

    def __init__(self, disk: Disk, point: Callable[[str], None]) -> None:
        self._disk = disk
        self._point = point
        self._open: dict[int, list[Any]] = {}
        self._next = 3

    def status(self, path: str) -> Status:
        self._point("stat")
        return status_of(self._disk.find(path))

    def entries(self, path: str) -> list[tuple[str, Status]]:
        self._point("readdir")
        inode = self._disk.find(path)
        if inode.names is None:
            raise failure(errno.ENOTDIR, path)
        return [(name, status_of(below)) for name, below in inode.names.items()]

    def open(self, path: str) -> int:
        self._point("open")
        inode = self._disk.find(path)
        if inode.names is not None:
            raise failure(errno.EISDIR, path)
        return self._descriptor(inode, 0)

    def create(self, path: str, mode: int = 0o666) -> int:
        self._point("create")
        names, name = self._disk.parent(path)
        if name in names:
            raise failure(errno.EEXIST, path)
        inode = self._disk.node()
        self._disk.change("link", path, inode)
        return self._descriptor(inode, 0)

    def append(self, path: str) -> int:
        self._point("open")
        inode = self._disk.find(path)
        return self._descriptor(inode, len(inode.data))

    def read(self, descriptor: int, size: int) -> bytes:
        self._point("read")
        opened = self._open[descriptor]
        data = opened[0].data[opened[1] : opened[1] + size]
        opened[1] += len(data)
        return data

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        self._point("read")
        return self._open[descriptor][0].data[offset : offset + size]

    def write(self, descriptor: int, data: bytes) -> None:
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            self._point("write")
            inode = self._open[descriptor][0]
            inode.data += part
            inode.modified = inode.changed = self._disk.stamp()

    def descriptor_status(self, descriptor: int) -> Status:
        return status_of(self._open[descriptor][0])

    def sync(self, descriptor: int) -> None:
        self._point("fsync")
        inode = self._open[descriptor][0]
        inode.durable = inode.data
        self._disk.sync()

    def sync_all(self, path: str) -> None:
        self._point("syncfs")
        harden(self._disk.root)
        self._disk.sync()

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def rename_new(self, source: str, to: str) -> None:
        self._point("rename")
        self._disk.find(source)
        names, name = self._disk.parent(to)
        if name in names:
            raise failure(errno.EEXIST, to)
        if (to + "/").startswith(source + "/"):
            raise failure(errno.EINVAL, to)
        self._disk.change("rename", source, to)
        self._point("renamed")

    def swap(self, one: str, other: str) -> None:
        self._point("swap")
        self._disk.find(one)
        self._disk.find(other)
        self._disk.change("swap", one, other)
        self._point("swapped")

    def unlink(self, path: str) -> None:
        self._point("unlink")
        if self._disk.find(path).names is not None:
            raise failure(errno.EISDIR, path)
        self._disk.change("unlink", path)

    def make_directory(self, path: str) -> None:
        self._point("mkdir")
        names, name = self._disk.parent(path)
        if name in names:
            raise failure(errno.EEXIST, path)
        self._disk.change("link", path, self._disk.node({}))
        self._point("mkdired")

    def remove_directory(self, path: str) -> None:
        self._point("rmdir")
        inode = self._disk.find(path)
        if inode.names is None:
            raise failure(errno.ENOTDIR, path)
        if inode.names:
            raise failure(errno.ENOTEMPTY, path)
        self._disk.change("unlink", path)
        self._point("rmdired")

    def sync_directory(self, path: str) -> None:
        self._point("fsync")
        self._disk.find(path)
        self._disk.sync()

    def _descriptor(self, inode: Inode, position: int) -> int:
        self._next += 1
        self._open[self._next] = [inode, position]
        return self._next


def status_of(inode: Inode) -> Status:
    is_directory = inode.names is not None
    size = 0 if is_directory else len(inode.data)
    return Status(is_directory, not is_directory, size, inode.modified, inode.changed, inode.number)


_: type[Calls] = SimulatedCalls
