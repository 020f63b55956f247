"""The system calls that the local folder is made of, so that a simulation can stand in for each."""

# A thin layer over os, on strings; the protocol documents the methods.
# ruff: noqa: PTH102, PTH104, PTH105, PTH106, PTH108, D102
from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import NamedTuple, Protocol


class Status(NamedTuple):
    """What lstat says."""

    is_directory: bool
    is_file: bool
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    mode: int = 0o644

    @property
    def content(self) -> tuple[int, int, int]:
        """What stays through a rename and changes with the content."""
        return (self.modified_ns, self.size, self.inode)


class Calls(Protocol):
    """A file system. Paths are absolute; errors are OSError, as the system raises them."""

    def status(self, path: str) -> Status:
        """Return what is at a path; a symbolic link is itself."""

    def entries(self, path: str) -> list[tuple[str, Status]]:
        """Return names and status of what is in a directory."""

    def open(self, path: str) -> int:
        """Open a file for reading; never through a symbolic link."""

    def create(self, path: str, mode: int = 0o666) -> int:
        """Make a file that is not there yet and open it for writing."""

    def append(self, path: str) -> int:
        """Open a file for writing at its end."""

    def read(self, descriptor: int, size: int) -> bytes:
        """Read some bytes; b"" is the end."""

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read ``size`` bytes from ``offset`` on; fewer only where the file ends."""

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of ``data``."""

    def descriptor_status(self, descriptor: int) -> Status:
        """Return the status of an open file."""

    def sync(self, descriptor: int) -> None:
        """Make a file's content durable."""

    def sync_all(self, path: str) -> None:
        """Make everything durable that the file system of ``path`` was given: for many files at once."""

    def close(self, descriptor: int) -> None:
        """Close."""

    def rename_new(self, source: str, to: str) -> None:
        """Rename; FileExistsError when the target is taken."""

    def swap(self, one: str, other: str) -> None:
        """Exchange two files in one atomic step."""

    def unlink(self, path: str) -> None:
        """Remove a file."""

    def make_directory(self, path: str) -> None:
        """Make a directory."""

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""

    def sync_directory(self, path: str) -> None:
        """Make a directory's names durable."""


_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h


class SystemCalls:
    """The machine's file system."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._renameat2 = getattr(libc, "renameat2", None)  # Linux, glibc 2.28 or musl 1.2.5
        self._syncfs = getattr(libc, "syncfs", None)  # Linux

    def status(self, path: str) -> Status:
        return _status(os.lstat(path))

    def entries(self, path: str) -> list[tuple[str, Status]]:
        found = []
        with os.scandir(path) as listed:
            for entry in listed:
                try:
                    found.append((entry.name, _status(entry.stat(follow_symlinks=False))))
                except FileNotFoundError:  # removed since the directory was read
                    continue
        return found

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)

    def create(self, path: str, mode: int = 0o666) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def append(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read(self, descriptor: int, size: int) -> bytes:
        return os.read(descriptor, size)

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        data = os.pread(descriptor, size, offset)
        while len(data) < size and (
            more := os.pread(descriptor, size - len(data), offset + len(data))
        ):
            data += more
        return data

    def write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def descriptor_status(self, descriptor: int) -> Status:
        return _status(os.fstat(descriptor))

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_all(self, path: str) -> None:
        if self._syncfs is None:
            os.sync()  # macOS: schedules; a power cut there costs what it costs other programs
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename_new(self, source: str, to: str) -> None:
        if self._rename(source, to, _RENAME_NOREPLACE):
            return
        # Without the system's help: a link fails when the name is taken; directories have no links,
        # but renaming one fails when the target holds anything.
        if stat.S_ISDIR(os.lstat(source).st_mode):
            if os.path.lexists(to):
                raise FileExistsError(errno.EEXIST, "exists", to)
            os.rename(source, to)
            return
        os.link(source, to, follow_symlinks=False)
        os.unlink(source)

    def swap(self, one: str, other: str) -> None:
        if self._rename(one, other, _RENAME_EXCHANGE):
            return
        kept = one + ".kept"  # macOS, old file systems: a hair's breadth less safe, see docs
        os.link(other, kept, follow_symlinks=False)
        os.replace(one, other)
        os.rename(kept, one)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        os.mkdir(path)

    def remove_directory(self, path: str) -> None:
        os.rmdir(path)

    def sync_directory(self, path: str) -> None:
        if os.name == "nt":  # pragma: no cover - directories cannot be opened there
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rename(self, source: str, to: str, flags: int) -> bool:
        """Call renameat2; False where the system or the file system does not have it."""
        if self._renameat2 is None:
            return False
        code = self._renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(to), flags)
        if code == 0:
            return True
        number = ctypes.get_errno()
        if number in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
            return False
        raise OSError(number, os.strerror(number), source, None, to)


def _status(found: os.stat_result) -> Status:
    return Status(
        stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), found.st_size,
        found.st_mtime_ns, found.st_ctime_ns, found.st_ino, stat.S_IMODE(found.st_mode),
    )  # fmt: skip


_: type[Calls] = SystemCalls
