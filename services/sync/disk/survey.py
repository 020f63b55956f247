"""What other programs did in the plain directory: found by looking, never guessed from events.

A look compares every path with what was seen there last; only what differs is read, cut into chunks
and stored, so that what is reported can be fetched. All functions block.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.sync.content.directory import ChunkDirectory
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import Folder, NotThere
from services.sync.disk.seen import Seen, SeenTable

SETTLED_NS = 50_000_000
"""Age (ns) a file must have before it is trusted not to change without a new time stamp: two writes
within one step of the file system's clock (4 ms on Linux) leave the same one."""

AGAIN_SECONDS = 0.15
"""Until a path that was still being written, or written just now, is looked at again."""

BATCH_FILES, BATCH_BYTES = 512, 64 * 1024 * 1024
"""A look reports after so much: what was found is in the log before the next part is read."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path now (``seen`` is None when nothing is), and what was seen there before."""

    path: str
    seen: Seen | None
    before: Seen | None = None
    manifest: Manifest | None = None


@dataclass(slots=True)
class Findings:
    """A part of what differs, in an order that can be carried out; ``again``: look there soon."""

    found: list[Found] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    again_in: float = AGAIN_SECONDS
    is_complete: bool = True


class Survey:
    """Looks at one plain directory."""

    def __init__(
        self,
        folder: Folder,
        seen: SeenTable,
        chunks: ChunkDirectory,
        quiet: Callable[[str], float],
    ) -> None:
        """``quiet`` gives the seconds that a path must have been left alone before it is read."""
        self._folder = folder
        self._seen = seen
        self._chunks = chunks
        self._quiet = quiet
        self.refused: dict[str, tuple[int, int, int]] = {}
        """What cannot be in the share under its name, so that it is read once and not again."""

    def look(self, paths: Iterable[str]) -> Findings:
        """Compare ``paths`` and everything below them."""
        gone: list[Found] = []
        present: list[tuple[str, os.stat_result]] = []
        outermost = _outermost(paths)
        statuses = self._folder.statuses(path for path in outermost if path)
        for path in outermost:
            here = self._here(path, statuses.get(path))
            known = [path, *self._seen.below(path)] if path else self._seen.below("")
            gone += [Found(p, None, before) for p in sorted(known, reverse=True)
                     if p not in here and (before := self._seen.paths.get(p)) is not None]  # fmt: skip
            present += here.items()
        findings = Findings(found=gone)
        size = 0
        for path, status in present:
            if not self._differs(path, status):
                continue
            if len(findings.found) >= BATCH_FILES or size >= BATCH_BYTES:
                findings.is_complete = False
                break
            found = self._examine(path, status, findings)
            if found is not None:
                findings.found.append(found)
                size += found.seen.size if found.seen is not None else 0
        if size:
            self._chunks.sync()
        return findings

    def _here(self, path: str, status: os.stat_result | None) -> dict[str, os.stat_result]:
        """Return what is shared at ``path`` and below it; most of what is looked at is a single file."""
        if path and (status is None or not stat.S_ISDIR(status.st_mode)):
            return {path: status} if status is not None and stat.S_ISREG(status.st_mode) else {}
        above = {path: status} if status is not None else {}
        return above | dict(self._folder.scan(path))

    def is_current(self, path: str) -> bool:
        """Whether ``path`` itself looks as it was seen last."""
        status = self._folder.stat(path)
        if status is None:
            return path not in self._seen.paths
        return not self._differs(path, status)

    def stale(self, paths: Iterable[str]) -> tuple[set[str], set[str]]:
        """Return which of these do not look as they were seen last, and which no file may have.

        The second are those that a link, a device or the like has, or a directory above them.
        """
        stale: set[str] = set()
        blocked: set[str] = set()
        statuses = self._folder.statuses(paths)
        tops = {path.rpartition("/")[0] for path in statuses} - {""}
        closed = {top for top in tops if self._folder.obstacle(top) is not None}
        for path, status in statuses.items():
            if path.rpartition("/")[0] in closed:
                blocked.add(path)
            elif status is None:
                if path in self._seen.paths:
                    stale.add(path)
            elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                blocked.add(path)
            elif self._differs(path, status):
                stale.add(path)
        return stale, blocked

    def holds(self, found: Found) -> bool:
        """Whether a finding is still so: looking took time, and nobody was kept from working."""
        if self._seen.paths.get(found.path) != found.before:
            return False
        status = self._folder.stat(found.path)
        if status is None or found.seen is None:
            return status is None and found.seen is None
        if stat.S_ISDIR(status.st_mode) or found.seen.is_directory:
            return stat.S_ISDIR(status.st_mode) == found.seen.is_directory
        return (status.st_mtime_ns, status.st_size) == found.seen.identity[:2]

    def _differs(self, path: str, status: os.stat_result) -> bool:
        identity = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self.refused.get(path) == identity:
            return False
        known = self._seen.paths.get(path)
        if known is None or known.is_directory != stat.S_ISDIR(status.st_mode):
            return True
        if known.is_directory:
            return False
        return known.identity != identity

    def refuse(self, path: str) -> bool:
        """Read ``path`` no more while it stays as it is; whether that is new."""
        status = self._folder.stat(path)
        if status is None:
            return False
        identity = (status.st_mtime_ns, status.st_size, status.st_ino)
        was, self.refused[path] = self.refused.get(path), identity
        return was != identity

    def _examine(self, path: str, status: os.stat_result, findings: Findings) -> Found | None:
        if stat.S_ISDIR(status.st_mode):
            seen = Seen("", status.st_mtime_ns, 0, status.st_ino, is_directory=True)
            return Found(path, seen, self._seen.paths.get(path))
        age = (time.time_ns() - status.st_mtime_ns) / 1e9
        wanted = self._quiet(path)
        if 0 <= age < wanted:
            findings.again.add(path)
            findings.again_in = max(min(wanted - age, wanted), AGAIN_SECONDS)
            return None
        return self._read(path, findings)

    def _read(self, path: str, findings: Findings) -> Found | None:
        """Read a file; None when it changes while it is read: then it is looked at again."""
        known = self._seen.paths.get(path)
        try:
            descriptor, before = self._folder.open(path)
        except NotThere:
            findings.again.add(path)
            return None
        try:
            manifest = self._chunks.add_file(descriptor, is_urgent=False)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        is_same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        if not is_same or manifest.size != after.st_size:
            findings.again.add(path)
            return None
        inode = after.st_ino
        if 0 <= time.time_ns() - after.st_mtime_ns < SETTLED_NS:
            findings.again.add(path)
            inode = 0
        seen = Seen(manifest.hash, after.st_mtime_ns, after.st_size, inode, is_directory=False)
        return Found(path, seen, known, manifest)


def _outermost(paths: Iterable[str]) -> list[str]:
    """Return the paths that are below none of the others."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda p: p.split("/") if p else []):
        last = (
            kept[-1] if kept else None
        )  # whatever is above comes directly before what it has below
        if last is None or not (last == "" or path.startswith(last + "/")):
            kept.append(path)
    return kept
