"""The files below one root, reached step by step: no symbolic link is ever followed.

Every directory on the way is opened by its name in its parent (``openat`` with O_NOFOLLOW), so that
nothing outside the root can be read or written, however the tree changes meanwhile. All functions
block; callers run them in a thread. Paths are those of ``paths.parse_path``; "" is the root.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, groupby

from services.sync.disk.kernel import EXCHANGE, NOREPLACE, rename, sync_file_system
from services.sync.share.paths import HIDDEN, is_shared

TEMPORARY = f"{HIDDEN}/incoming"
"""Where contents are written before they get their name: in the same file system, so that giving the
name is one atomic step."""

ABANDONED = 24 * 3600.0
"""Seconds after which a temporary file belongs to no upload any more: its process died. Long, because
another process may share the folder and receive a large file slowly."""

MOST_HELD = 64
"""Directories that are held open at once while much is done: few beside the files of all connections."""

SYNCED_ONE_BY_ONE = 16
"""Up to so many files are synced each by itself; more of them cost less by syncing the file system."""

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_AGAIN = ""


class NotThere(Exception):
    """No such file, or what is there is neither a file nor a directory of the share."""


class InTheWay(Exception):
    """Something of another kind has the name, or the directory is not empty."""


class Folder:
    """One root directory.

    What changes a directory is durable when it returns, but for calls with ``later``: they add the
    directories that ``sync`` has to make durable, once for many names.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._holding = threading.local()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Open each directory once while this thread does much below, not once for each step.

        One that somebody renames meanwhile is still written to, as if it had been renamed afterwards.
        """
        self._holding.directories = {}
        try:
            yield
        finally:
            self._let_go()
            self._holding.directories = None

    def _let_go(self) -> None:
        """Close what is held: a directory may have another name by now."""
        held: dict[str, int] = getattr(self._holding, "directories", None) or {}
        for directory in held.values():
            os.close(directory)
        held.clear()

    def sync(self, directories: set[str]) -> None:
        """Make the names in these directories durable."""
        if len(directories) > SYNCED_ONE_BY_ONE:
            with self._directory("") as root:
                sync_file_system(root)
            return
        for path in directories:
            with (
                suppress(NotThere),
                self._directory(path) as directory,
            ):  # gone: its parent is here too
                os.fsync(directory)

    def open_store(self) -> bool:
        """Make the hidden directory and clear it of abandoned files; False where nothing can be written."""
        store = f"{self.root}/{TEMPORARY}"
        try:
            os.makedirs(store, mode=0o700, exist_ok=True)  # noqa: PTH103 - str
        except OSError:
            return False
        limit = time.time() - ABANDONED  # noqa: TID251 - compared with the file system's own clock
        with os.scandir(store) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(entry.path)  # noqa: PTH108 - str
        return True

    def try_lock(self) -> int | None:
        """Take the folder's lock for this process; None while another one has it.

        Whoever has it carries out operations here and adopts changes: there is one such process,
        however many share the folder. The descriptor holds the lock until it is closed.
        """
        descriptor = os.open(
            f"{self.root}/{HIDDEN}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @property
    def has_store(self) -> bool:
        """Whether the hidden directory is there: an empty mount point has none."""
        return os.path.isdir(f"{self.root}/{HIDDEN}")  # noqa: PTH112 - str

    def stat(self, path: str) -> os.stat_result | None:
        """Return the status of a file or directory, None when there is none that is shared."""
        try:
            with self._parent(path) as (parent, name):
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (NotThere, OSError):
            return None
        return status if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None

    def statuses(self, paths: Iterable[str]) -> dict[str, os.stat_result | None]:
        """Return what is at each path, links and devices too; None where nothing is."""
        found: dict[str, os.stat_result | None] = {}
        for above, group in groupby(sorted(paths), key=lambda path: path.rpartition("/")[0]):
            names = [path.rpartition("/")[2] for path in group]
            places = [f"{above}/{name}" if above else name for name in names]
            try:
                with self._directory(above) as parent:
                    found.update(
                        zip(places, (_status(parent, name) for name in names), strict=True)
                    )
            except NotThere:
                found.update(dict.fromkeys(places))
        return found

    def obstacle(self, path: str) -> str | None:
        """Return the part of ``path`` that something has which cannot be shared: a link, a device."""
        part = ""
        for segment in path.split("/"):
            part = f"{part}/{segment}" if part else segment
            try:
                with self._parent(part) as (parent, name):
                    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            except (NotThere, OSError):
                return None
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return part
        return None

    def open(self, path: str) -> tuple[int, os.stat_result]:
        """Open a file for reading; the caller closes it. Raises NotThere."""
        with self._parent(path) as (parent, name):
            try:
                descriptor = os.open(name, _READ, dir_fd=parent)
            except OSError as error:
                raise NotThere(path) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise NotThere(path)
        return descriptor, status

    def create_temporary(self) -> tuple[str, int]:
        """Return a new file's name below TEMPORARY and its descriptor."""
        name = secrets.token_hex(12)
        with self._directory(TEMPORARY) as store:
            return name, os.open(name, _CREATE, mode=0o644, dir_fd=store)

    @contextmanager
    def temporaries(self) -> Iterator[Callable[[], tuple[str, int]]]:
        """Give what makes many temporary files as ``create_temporary`` makes one."""
        first, numbers = secrets.token_hex(12), count()
        with self._directory(TEMPORARY) as store:

            def create() -> tuple[str, int]:
                name = f"{first}.{next(numbers)}"
                return name, os.open(name, _CREATE, mode=0o644, dir_fd=store)

            yield create

    def temporary_path(self, name: str) -> str:
        """Return where a temporary file is, for programs that sync it."""
        return f"{self.root}/{TEMPORARY}/{name}"

    def drop_temporary(self, name: str) -> None:
        """Remove a temporary file; fine when it is gone."""
        with suppress(OSError, NotThere), self._directory(TEMPORARY) as store:
            os.unlink(name, dir_fd=store)

    def stat_temporary(self, name: str) -> os.stat_result:
        """Return the status of a temporary file."""
        with self._directory(TEMPORARY) as store:
            return os.stat(name, dir_fd=store, follow_symlinks=False)

    def open_temporary(self, name: str) -> int:
        """Open a temporary file for reading and writing; the caller closes it."""
        with self._directory(TEMPORARY) as store:
            return os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=store)

    def place(
        self,
        temporary: str,
        path: str,
        expected: tuple[int, int, int] | None = None,
        later: set[str] | None = None,
    ) -> str | None:
        """Give a finished temporary file its name, durably, in one atomic step.

        A file that had the name is exchanged for it and then removed, unless it is not the one that was
        ``expected`` (time, size, inode): then it is kept, and its temporary name returned, for it is a
        change that came in the last moment. Raises NotThere, InTheWay.
        """
        with self._directory(TEMPORARY) as store, self._parent(path) as (parent, name):
            replaced = None
            while True:
                try:
                    rename(temporary, name, store, parent, NOREPLACE)
                    break
                except FileExistsError:
                    replaced = self._exchange(temporary, name, store, parent, expected)
                    if replaced is not _AGAIN:
                        break
            _sync(parent, path, later)
            return replaced

    def place_new(self, temporary: str, path: str, later: set[str]) -> bool:
        """Do the same for a name that is thought to be free; False, and nothing done, when it is not. NotThere."""
        with self._directory(TEMPORARY) as store, self._parent(path) as (parent, name):
            try:
                rename(temporary, name, store, parent, NOREPLACE)
            except FileExistsError:
                return False
            _sync(parent, path, later)
            return True

    def _exchange(
        self,
        temporary: str,
        name: str,
        store: int,
        parent: int,
        expected: tuple[int, int, int] | None,
    ) -> str | None:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                raise InTheWay(f"{name} is a directory")
            os.chmod(temporary, stat.S_IMODE(status.st_mode), dir_fd=store)
            rename(temporary, name, store, parent, EXCHANGE)
        except FileNotFoundError:
            return _AGAIN  # it went meanwhile
        old = os.stat(temporary, dir_fd=store, follow_symlinks=False)
        identity = (old.st_mtime_ns, old.st_size, old.st_ino)
        if expected is not None and identity != expected:
            return temporary
        os.unlink(temporary, dir_fd=store)
        return None

    def make_directories(self, path: str, later: set[str] | None = None) -> list[str]:
        """Make a directory and those above it; return the ones that were missing, outermost first."""
        made: list[str] = []
        current = ""
        for segment in path.split("/") if path else []:
            with self._directory(current) as parent:
                current = f"{current}/{segment}" if current else segment
                try:
                    os.mkdir(segment, dir_fd=parent)
                except FileExistsError:
                    continue
                _sync(parent, current, later)
                made.append(current)
        with self._directory(path):
            return made

    def remove(self, path: str, later: set[str] | None = None) -> None:
        """Remove a file or an empty directory. Raises NotThere, InTheWay."""
        status = self.stat(path)
        if status is None:
            raise NotThere(path)
        with self._parent(path) as (parent, name):
            try:
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=parent)
                else:
                    os.unlink(name, dir_fd=parent)
            except FileNotFoundError as error:
                raise NotThere(path) from error
            except OSError as error:
                raise InTheWay(f"{path} cannot be removed: {error.strerror}") from error
            _sync(parent, path, later)
        if stat.S_ISDIR(status.st_mode):
            self._let_go()

    def move(self, source: str, to: str) -> None:
        """Rename; the target must be free. Raises NotThere, InTheWay."""
        with self._parent(source) as (parent, name), self._parent(to) as (new_parent, new_name):
            try:
                rename(name, new_name, parent, new_parent, NOREPLACE)
            except FileNotFoundError as error:
                raise NotThere(source) from error
            except OSError as error:
                raise InTheWay(f"{to}: {error.strerror}") from error
            os.fsync(new_parent)
            os.fsync(parent)
        self._let_go()

    def scan(
        self, path: str = "", *, recursive: bool = True
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Yield what is shared below a directory, with its status, ordered by name within each one."""
        try:
            with self._directory(path) as directory:
                found = sorted(_shared_entries(directory))
        except NotThere:
            return
        for name, status in found:
            below = f"{path}/{name}" if path else name
            yield below, status
            if recursive and stat.S_ISDIR(status.st_mode):
                yield from self.scan(below)

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        held: dict[str, int] | None = getattr(self._holding, "directories", None)
        directory = held.get(path, -1) if held is not None else -1
        if directory >= 0:
            yield directory
            return
        directory = self._open_directory(path)
        if held is not None and len(held) < MOST_HELD:
            held[path] = directory
            yield directory
            return
        try:
            yield directory
        finally:
            os.close(directory)

    def _open_directory(self, path: str) -> int:
        """Open a directory of the share, one name at a time; raises NotThere."""
        current = -1
        try:
            current = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for segment in path.split("/") if path else []:
                above, current = current, os.open(segment, _DIRECTORY, dir_fd=current)
                os.close(above)
        except OSError as error:
            if current >= 0:
                os.close(current)
            if error.errno in _ABSENT:
                raise NotThere(path) from error
            raise
        return current

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        above, _, name = path.rpartition("/")
        with self._directory(above) as parent:
            yield parent, name


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None


def _sync(parent: int, path: str, later: set[str] | None) -> None:
    """Make a name in its open directory durable, now or with others."""
    if later is None:
        os.fsync(parent)
    else:
        later.add(path.rpartition("/")[0])


def _shared_entries(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if not is_shared(entry.name):
                continue
            with suppress(FileNotFoundError):  # removed since the directory was read
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                    yield entry.name, status
