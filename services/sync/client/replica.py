"""One local folder and what is known of it: the tree that was seen, and changes to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from services.sync.client.disk.calls import Status
from services.sync.client.disk.folder import FolderLost, LocalFolder
from services.sync.client.disk.scanner import Scan, Scanner
from services.sync.client.planning.model import Node, is_below
from services.sync.client.state import State

T = TypeVar("T")


class Run(Protocol):
    """Runs a function that blocks, without stopping the event loop."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        """Return what ``function`` returns."""


class Replica:
    """The local side. ``tree`` is what was seen last; the disk may be ahead of it."""

    def __init__(self, folder: LocalFolder, scanner: Scanner, state: State, run: Run) -> None:
        self.folder = folder
        self._scanner = scanner
        self._state = state
        self.run = run
        self.tree: dict[str, Node] = {}
        self.status: dict[str, Status] = {}
        self.dirty: set[str] = {""}
        """Where to look before the next plan; "" is everywhere."""
        self.unknown: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    async def look(self) -> bool:
        """Look where something may have changed; True when a file was still being written."""
        paths = [""] if "" in self.dirty else _tops(self.dirty)
        self.dirty = set()
        is_busy = False
        for path in paths:
            scan = await self.run(self._scanner.scan, self._state.synced, path)
            await self.check_marker()  # after the look: a mount may go away during it
            self._take(scan, path)
            if scan.is_busy:
                is_busy = True
                self.dirty.update(scan.unknown)
        return is_busy

    async def check_marker(self) -> None:
        """Raise FolderLost unless this is the folder that was synced."""
        try:
            found = await self.run(self.folder.read_marker)
        except OSError as error:
            raise FolderLost(f"{self.folder.root}: {error.strerror}") from error
        if found != self._state.fact("marker"):
            raise FolderLost(f"{self.folder.root} is not the folder that was synced")

    def set(self, path: str, node: Node | None, status: Status | None = None) -> None:
        """Note what we did to a path."""
        if node is None:
            self.tree.pop(path, None)
            self.status.pop(path, None)
            return
        self.tree[path] = node
        if status is not None:
            self.status[path] = status

    def placed(self, path: str, node: Node, status: Status) -> None:
        """Note a file that we wrote."""
        self.set(path, node, status)
        self._scanner.placed(path, status, node.hash)

    def moved(self, source: str, to: str) -> None:
        """Note a rename, with everything below. Times are read again when they are needed."""
        for path in [p for p in self.tree if p == source or is_below(p, source)]:
            target = to + path[len(source) :]
            status = self.status.get(path)
            self.set(target, self.tree[path], status)
            self.set(path, None)

    def _take(self, scan: Scan, top: str) -> None:
        before = self.tree.get(top)
        is_file = before is not None and not before.is_directory
        for known in [top] if is_file else [p for p in self.tree if p == top or is_below(p, top)]:
            if known not in scan.tree:
                self.set(known, None)
        for manifest in scan.lists:
            self._state.keep_list(manifest)
        self.tree.update(scan.tree)
        self.status.update(scan.status)
        for facts, found in ((self.unknown, scan.unknown), (self.skipped, scan.skipped)):
            for path in [p for p in facts if p == top or is_below(p, top)]:
                del facts[path]
            facts.update(found)


def _tops(paths: Iterable[str]) -> list[str]:
    """Return the paths that are not below another one."""
    tops: list[str] = []
    for path in sorted(paths):
        if not tops or not is_below(path, tops[-1]):
            tops.append(path)
    return tops
