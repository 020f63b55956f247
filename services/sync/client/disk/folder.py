"""Changes to the local folder that never lose what somebody else did to it meanwhile.

A new content is written beside (in ``.quantum/incoming``, on the same file system), made durable,
and takes its name in one atomic step. Where it replaces a file the two are exchanged, so that what
was really there is in our hands: if it is not what we expected, the exchange is undone. What was
replaced or deleted waits in ``.quantum/displaced`` for a while: a program that has it open may
still write to it, and then it comes back as a conflict copy. All functions block.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from services.sync.client.disk.calls import Calls, Status
from services.sync.client.disk.kept import KeptContents
from services.sync.client.planning.model import ancestors, parent_of

T = TypeVar("T")

STORE = ".quantum"
"""What is the client's own inside the folder; no path of a share can have this name."""

INCOMING, DISPLACED, TRASH = f"{STORE}/incoming", f"{STORE}/displaced", f"{STORE}/trash"
MARKER = f"{STORE}/marker"
"""Says that this is the folder that was synced: an empty mount point has none."""

DISPLACED_SECONDS = 3.0
"""How long a replaced file is watched for late writes: an editor's save takes well under a second."""

READ_SIZE = 1024 * 1024
"""Bytes read at a time while hashing."""

PARTIAL = ".part"
"""Ends the name of an unfinished download that may go on; it begins with the content's hash."""

SYNCED_ONE_BY_ONE = 16
"""Up to so many new files are synced each by itself; more of them cost less by syncing the file system."""

NAME_PART = 80
"""Bytes of a displaced file's own name that are kept in its new one, beside two hashes and a token."""


class LocalChanged(Exception):
    """What is on the disk is not what was expected; nothing was changed."""


class FolderLost(Exception):
    """The folder, or its marker, is not there: not mounted, moved away, or never synced."""


@dataclass(slots=True)
class Displaced:
    """A file that was replaced or deleted, and what it looked like then."""

    place: str
    path: str
    content: tuple[int, int, int]
    since: float = -1.0
    """When it was first swept; negative: not yet."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A small content that shall have a name: ``token`` is its temporary one."""

    path: str
    data: bytes
    token: str
    expect: Status | None
    old: str
    new: str


class LocalFolder:
    """One root. Paths are those of the share."""

    def __init__(self, root: str, calls: Calls, token: Callable[[], str] | None = None) -> None:
        """``token`` names temporary files; a simulation hands in its own."""
        self.root = root
        self.calls = calls
        self._token = token or (lambda: secrets.token_hex(8))
        self.synced_one_by_one = SYNCED_ONE_BY_ONE
        self.displaced: list[Displaced] = []
        self.kept = KeptContents()
        self.partial: set[str] = set()
        """Downloads that stopped in the middle and can go on, here or after a restart."""

    def full(self, path: str) -> str:
        """Return the path as the system knows it."""
        return f"{self.root}/{path}" if path else self.root

    # The store and its marker.

    def prepare(self, marker: str) -> None:
        """Make the store of a folder that has none, durably."""
        for path in (STORE, INCOMING, DISPLACED, TRASH):
            with suppress(FileExistsError):
                self.calls.make_directory(self.full(path))
        self.calls.sync_directory(self.full(STORE))
        self.calls.sync_directory(self.root)
        if self.read_marker() == marker:
            return
        with suppress(FileNotFoundError):
            self.calls.unlink(self.full(MARKER))
        temporary = self._write_temporary(marker.encode())
        self.calls.rename_new(temporary, self.full(MARKER))
        self.calls.sync_directory(self.full(STORE))

    def read_marker(self) -> str:
        """Return what the marker says, "" when there is none."""
        try:
            descriptor = self.calls.open(self.full(MARKER))
        except FileNotFoundError:
            return ""
        try:
            return self.calls.read(descriptor, 256).decode()
        finally:
            self.calls.close(descriptor)

    def _write_temporary(self, data: bytes) -> str:
        place = self.full(f"{INCOMING}/{self._token()}")
        descriptor = self.calls.create(place)
        try:
            self.calls.write(descriptor, data)
            self.calls.sync(descriptor)
        finally:
            self.calls.close(descriptor)
        return place

    # Looking.

    def status(self, path: str) -> Status | None:
        """Return what is at a path, None when nothing is (or a part of it is no directory)."""
        try:
            return self.calls.status(self.full(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_file(self, path: str, take: Callable[[Callable[[int], bytes]], T]) -> tuple[T, Status]:
        """Return what ``take`` makes of a file's content, and its status.

        ``take`` is handed a function that reads on. Raises LocalChanged when the file was written meanwhile.
        """
        try:
            descriptor = self.calls.open(self.full(path))
        except FileNotFoundError as error:
            raise LocalChanged(f"{path} is gone") from error
        try:
            before = self.calls.descriptor_status(descriptor)
            taken = take(partial(self.calls.read, descriptor))
            after = self.calls.descriptor_status(descriptor)
        finally:
            self.calls.close(descriptor)
        if before != after:
            raise LocalChanged(f"{path} is being written")
        return taken, after

    def hash_file(self, path: str) -> tuple[str, Status]:
        """Return a file's SHA-256 and status; LocalChanged when it was written meanwhile."""
        return self.read_file(path, _hash)

    def read_small(self, path: str, size: int) -> tuple[bytes, Status]:
        """Return a small file's content and status; LocalChanged unless it has ``size`` bytes all the time."""
        data, status = self.read_file(path, partial(_read_on, size=size + 1))
        if not size == len(data) == status.size:
            raise LocalChanged(f"{path} is being written")
        return data, status

    # Changing.

    def place(
        self, temporary: str, path: str, expect: Status | None, old: str = "", new: str = ""
    ) -> Status:
        """Give a durable temporary file its name; it replaces the file that ``expect`` describes.

        ``old`` and ``new`` are the hashes of both contents. Raises LocalChanged, with the temporary
        file gone, when something else is at the path.
        """
        self._place(temporary, path, expect, old, new)
        self.calls.sync_directory(self.full(parent_of(path)))
        return self.calls.status(self.full(path))

    def place_many(self, arrivals: Sequence[Arrival]) -> list[Status | LocalChanged]:
        """Give many contents their names, as ``place`` does, and sync each directory once."""
        self._store(arrivals)
        found: list[Status | LocalChanged] = []
        for arrival in arrivals:
            try:
                self._place(
                    self.full(f"{INCOMING}/{arrival.token}"),
                    arrival.path, arrival.expect, arrival.old, arrival.new,
                )  # fmt: skip
                found.append(self.calls.status(self.full(arrival.path)))
            except LocalChanged as error:
                found.append(error)
            except FileNotFoundError as error:
                found.append(LocalChanged(f"{arrival.path}: {error.strerror}"))
        for above in dict.fromkeys(parent_of(arrival.path) for arrival in arrivals):
            with suppress(FileNotFoundError, NotADirectoryError):
                self.calls.sync_directory(self.full(above))
        return found

    def _store(self, arrivals: Sequence[Arrival]) -> None:
        """Write temporary files and make them durable; none is left when that fails."""
        is_many = len(arrivals) > self.synced_one_by_one
        places: list[str] = []
        try:
            for arrival in arrivals:
                place = self.full(f"{INCOMING}/{arrival.token}")
                descriptor = self.calls.create(place)
                places.append(place)
                try:
                    self.calls.write(descriptor, arrival.data)
                    if not is_many:
                        self.calls.sync(descriptor)
                finally:
                    self.calls.close(descriptor)
            if is_many:
                self.calls.sync_all(self.full(INCOMING))
        except OSError:
            for place in places:
                with suppress(OSError):
                    self.calls.unlink(place)
            raise

    def _place(self, temporary: str, path: str, expect: Status | None, old: str, new: str) -> None:
        try:
            self._check_above(path)
            if expect is not None:
                self._check(path, expect)
                temporary = self._exchange(temporary, path, expect, f"{old}.{new}")
            else:
                self._rename_new(temporary, path)
        except LocalChanged:
            self.calls.unlink(temporary)
            raise
        if expect is not None:
            self.displaced.append(Displaced(temporary, path, expect.content))

    def _exchange(self, temporary: str, path: str, expect: Status, hashes: str) -> str:
        """Exchange the file at a path with the temporary one; return where the old one is."""
        place = self._displaced_place(hashes, path)
        self.calls.rename_new(temporary, place)
        try:
            self._swap(place, path)
            if self.calls.status(place).content != expect.content:
                self._swap(place, path)  # what was saved in the last microseconds stays
                raise LocalChanged(f"{path} was changed")
        except LocalChanged:
            self.calls.rename_new(place, temporary)
            raise
        return place

    def _swap(self, temporary: str, path: str) -> None:
        try:
            self.calls.swap(temporary, self.full(path))
        except FileNotFoundError as error:
            raise LocalChanged(f"{path} is gone") from error

    def _rename_new(self, place: str, path: str) -> None:
        try:
            self.calls.rename_new(place, self.full(path))
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise LocalChanged(f"{path} is taken, or its directory is gone") from error

    def remove(self, path: str, expect: Status, old: str, *, trash: str = "") -> None:
        """Remove the file with the hash ``old``, or put it into the folder ``trash`` of the trash."""
        self._check_above(path)
        self._check(path, expect)
        place = self._trash_place(trash, path) if trash else self._displaced_place(f"{old}.", path)
        try:
            self.calls.rename_new(self.full(path), place)
        except FileNotFoundError as error:
            raise LocalChanged(f"{path} is gone") from error
        if self.calls.status(place).content != expect.content:
            self._rename_new(place, path)
            raise LocalChanged(f"{path} was changed")
        self.calls.sync_directory(self.full(parent_of(path)))
        if not trash:
            self.displaced.append(Displaced(place, path, expect.content))

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; LocalChanged when something is in it."""
        self._check_above(path)
        try:
            self.calls.remove_directory(self.full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise LocalChanged(f"{path} holds something that is not synced") from error
            raise
        self.calls.sync_directory(self.full(parent_of(path)))

    def make_directory(self, path: str) -> None:
        """Make one directory; fine when it is there."""
        self._check_above(path)
        try:
            self.calls.make_directory(self.full(path))
        except FileExistsError as error:
            if not self.calls.status(self.full(path)).is_directory:
                raise LocalChanged(f"{path} is taken") from error
            return
        except (FileNotFoundError, NotADirectoryError) as error:
            raise LocalChanged(f"the directory of {path} is gone") from error
        self.calls.sync_directory(self.full(parent_of(path)))

    def move(self, source: str, to: str) -> None:
        """Rename what is at ``source``, with everything below it; the target must be free."""
        self._check_above(source)
        self._check_above(to)
        try:
            self.calls.rename_new(self.full(source), self.full(to))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.ENOTEMPTY}:
                raise LocalChanged(f"{source} is gone, or {to} is taken") from error
            raise
        self.calls.sync_directory(self.full(parent_of(to)))
        if parent_of(source) != parent_of(to):
            self.calls.sync_directory(self.full(parent_of(source)))

    def make_parents(self, path: str) -> None:
        """Make the directories above a path."""
        for above in ancestors(path):
            self.make_directory(above)

    # What was displaced.

    def sweep(self, now: float, copy: Callable[[str], str]) -> list[str]:
        """Remove displaced files that nobody wrote to since; bring back the others.

        Returns the paths of what came back, which ``copy`` named.
        """
        back, waiting = [], []
        for item in self.displaced:
            if item.since < 0:
                item.since = now
            if now - item.since < DISPLACED_SECONDS:
                waiting.append(item)
            elif self.calls.status(item.place).content == item.content:
                self.calls.unlink(item.place)
            else:
                back.append(self._bring_back(item.place, copy(item.path)))
        self.displaced = waiting
        return back

    def recover(self, copy: Callable[[str], str]) -> list[str]:
        """After a start: clear what an earlier process left, and bring back what only it had.

        The name of a displaced file begins with the hashes of what may be in it.
        """
        back = []
        for name, _ in self._left(DISPLACED):
            old, new, _, original = name.split(".", 3)
            digest, _ = self.hash_file(f"{DISPLACED}/{name}")
            if digest in {old, new}:
                self.calls.unlink(self.full(f"{DISPLACED}/{name}"))
            else:
                back.append(self._bring_back(self.full(f"{DISPLACED}/{name}"), copy(original)))
        for name, _ in self._left(INCOMING):
            if name.endswith(PARTIAL):
                self.partial.add(self.full(f"{INCOMING}/{name}"))
            else:
                self.calls.unlink(self.full(f"{INCOMING}/{name}"))
        return back

    def drop_partial(self) -> None:
        """Remove what is left of downloads that nobody wants any more. Call it when nothing is to do."""
        for place in sorted(self.partial):
            with suppress(FileNotFoundError):
                self.calls.unlink(place)
        self.partial.clear()

    def _left(self, path: str) -> list[tuple[str, Status]]:
        try:
            return self.calls.entries(self.full(path))
        except FileNotFoundError:
            return []

    def _bring_back(self, place: str, path: str) -> str:
        try:
            self.make_parents(path)
        except LocalChanged:
            path = path.rpartition("/")[2]
        self._rename_new(place, path)
        self.calls.sync_directory(self.full(parent_of(path)))
        return path

    def _displaced_place(self, hashes: str, path: str) -> str:
        name = path.rpartition("/")[2].encode()[:NAME_PART].decode(errors="ignore")
        return self.full(f"{DISPLACED}/{hashes}.{self._token()}.{name}")

    def _trash_place(self, trash: str, path: str) -> str:
        place = f"{TRASH}/{trash}/{path}"
        for above in ancestors(place):
            with suppress(FileExistsError):
                self.calls.make_directory(self.full(above))
        return self.full(place)

    # Checks.

    def _check(self, path: str, expect: Status) -> None:
        found = self.status(path)
        if found is None or found.content != expect.content or not found.is_file:
            raise LocalChanged(f"{path} was changed")

    def _check_above(self, path: str) -> None:
        """Raise LocalChanged unless every directory above is one: links are never followed."""
        for above in ancestors(path):
            found = self.status(above)
            if found is None or not found.is_directory:
                raise LocalChanged(f"{above} is no directory")


def _hash(read: Callable[[int], bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := read(READ_SIZE):
        digest.update(chunk)
    return digest.hexdigest()


def _read_on(read: Callable[[int], bytes], size: int) -> bytes:
    """Read ``size`` bytes, or up to the end: one call of the system for a file that is smaller."""
    data = read(size)
    while len(data) < size - 1 and (more := read(size - len(data))):
        data += more
    return data
