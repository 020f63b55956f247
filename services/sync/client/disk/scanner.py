"""Looking at the local folder: what is there, with hashes that are computed only when needed.

What cannot be read, is being written, or is no file is *unknown*, never absent: an unknown path
keeps the node it had when it was last synced, so that nothing is deleted for not being readable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.sync.client.disk.calls import Status
from services.sync.client.disk.folder import STORE, LocalChanged, LocalFolder
from services.sync.client.disk.kept import LARGEST
from services.sync.client.disk.patterns import Patterns, refusal_of
from services.sync.client.planning.model import DIRECTORY, Node, Tree, is_below
from services.sync.client.transfers.lists import Cutting
from services.sync.content.cutting import hash_of
from services.sync.content.manifest import Manifest

SETTLED_NS = 50_000_000
"""Age (ns) a file must have before its hash is kept: two writes within one step of the file system's
clock (4 ms on Linux) leave the same time stamp."""

NO_FILE = (
    "a symbolic link, a device or a socket is not synced: put a copy in its place, or exclude it"
)
"""What is said of what is neither a file nor a directory: where a link points to is elsewhere on each system."""

Identity = tuple[int, int, int, int]
"""Modification time, change time, size, inode: one of them changes whenever the content does."""


@dataclass
class Scan:
    """What was found below some paths."""

    tree: dict[str, Node] = field(default_factory=dict)
    status: dict[str, Status] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """Paths that could not be told, with the reason; they stand for everything below them."""
    skipped: dict[str, str] = field(default_factory=dict)
    """What does not take part and never did: symbolic links, devices, impossible names."""
    lists: list[Manifest] = field(default_factory=list)
    """The chunks of the larger files that were read."""
    is_busy: bool = False
    """Whether something was being written: look again soon."""


class Scanner:
    """Scans one folder; remembers hashes by identity."""

    def __init__(
        self,
        folder: LocalFolder,
        patterns: Patterns,
        now_ns: Callable[[], int],
        hashes: dict[str, tuple[Identity, str]],
        cutting: Cutting,
    ) -> None:
        """``hashes`` is the cache, kept by the caller over restarts; ``now_ns`` the file system's clock."""
        self._cutting = cutting
        self._folder = folder
        self._patterns = patterns
        self._now_ns = now_ns
        self.hashes = hashes

    def scan(self, synced: Tree, top: str = "") -> Scan:
        """Look at ``top`` and everything below. Blocks. ``synced`` stands in for what is unknown."""
        scan = Scan()
        if top:
            self._look(scan, top)
        else:
            self._enter(scan, "")
        for unknown in scan.unknown:
            for path in synced:
                if (path == unknown or is_below(path, unknown)) and path not in scan.tree:
                    scan.tree[path] = synced[path]
        return scan

    def _enter(self, scan: Scan, directory: str) -> None:
        try:
            entries = sorted(self._folder.calls.entries(self._folder.full(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            scan.unknown[directory] = error.strerror or "cannot be read"
            return
        for name, status in entries:
            if directory or name != STORE:
                self._take(scan, f"{directory}/{name}" if directory else name, status)

    def _look(self, scan: Scan, path: str) -> None:
        try:
            status = self._folder.status(path)
        except OSError as error:
            scan.unknown[path] = error.strerror or "cannot be read"
            return
        if status is not None:
            self._take(scan, path, status)

    def _take(self, scan: Scan, path: str, status: Status) -> None:
        if not self._patterns.takes(path, is_directory=status.is_directory):
            return
        reason = refusal_of(path)
        if reason:
            scan.skipped[path.encode(errors="backslashreplace").decode()] = reason
        elif status.is_directory:
            scan.tree[path] = DIRECTORY
            scan.status[path] = status
            self._enter(scan, path)
        elif status.is_file:
            self._take_file(scan, path, status)
        else:
            scan.unknown[path] = scan.skipped[path] = NO_FILE

    def _take_file(self, scan: Scan, path: str, status: Status) -> None:
        known = self.hashes.get(path)
        if known is not None and known[0] == _identity(status):
            digest = known[1]
        else:
            try:
                digest, status = self._read(scan, path, status)
            except LocalChanged as error:
                scan.is_busy = True
                scan.unknown[path] = str(error)
                return
            except OSError as error:
                scan.unknown[path] = error.strerror or "cannot be read"
                return
            if self._is_settled(status):
                self.hashes[path] = (_identity(status), digest)
        scan.tree[path] = Node(is_directory=False, hash=digest, size=status.size)
        scan.status[path] = status

    def _read(self, scan: Scan, path: str, status: Status) -> tuple[str, Status]:
        """Return a file's hash and status; a larger one is cut on the way: its next edit may need that."""
        if status.size <= min(LARGEST, self._cutting.edited_from - 1):
            return self._read_small(path, status.size)
        if status.size < self._cutting.edited_from:
            return self._folder.hash_file(path)
        manifest, status = self._folder.read_file(path, self._cutting.cut)
        scan.lists.append(manifest)
        return manifest.hash, status

    def _read_small(self, path: str, size: int) -> tuple[str, Status]:
        """Hash a file that will travel with others, and keep what was read for that."""
        data, status = self._folder.read_small(path, size)
        digest = hash_of(data)
        if self._is_settled(status):
            self._folder.kept.keep(path, status, digest, data)
        return digest, status

    def _is_settled(self, status: Status) -> bool:
        """Whether a change from now on would leave another time stamp."""
        return self._now_ns() - status.modified_ns > SETTLED_NS

    def placed(self, path: str, status: Status, digest: str) -> None:
        """Note the hash of a file that we wrote, so that it is not read again.

        Only where its name is younger than its content: then whoever wrote to it since has left another
        modification time.
        """
        if status.changed_ns > status.modified_ns:
            self.hashes[path] = (_identity(status), digest)


def _identity(status: Status) -> Identity:
    return (status.modified_ns, status.changed_ns, status.size, status.inode)
