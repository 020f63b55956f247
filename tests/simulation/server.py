"""A server with the protocol's rules (docs/sync-protocol.md) and nothing else: one log, checks at the
commit, contents before announcements. Replicas answer from a place in the log that lags behind."""

from asyncio import Event
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from services.sync.client.planning.model import DIRECTORY, Node, ancestors, fold, is_below
from services.sync.client.remote.api import (
    Change,
    ChunksMissing,
    Listing,
    Page,
    Rescan,
    Stale,
    Written,
)
from services.sync.content.manifest import Manifest

LOG = "log"


@dataclass
class Truth:
    """The share: what every replica agrees on."""

    tree: dict[str, Node] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    snapshots: list[dict[str, Node]] = field(default_factory=lambda: [{}])
    contents: dict[str, bytes] = field(default_factory=dict)
    chunks: dict[str, bytes] = field(default_factory=dict)
    oldest: int = 0
    """Cursors before this one get "rescan"."""
    folds: dict[str, str] = field(default_factory=dict)
    committed: Callable[[int], None] = lambda seq: None
    """Told of every operation."""
    wins: list[tuple[str, Node | None, int]] = field(default_factory=list)
    """Successful conditional writes: path, what was expected, version found."""

    def commit(self, path: str, node: Node | None, client: str, source: str = "") -> int:
        seq = len(self.log) + 1
        if source:
            for old in [p for p in self.tree if p == source or is_below(p, source)]:
                new = path + old[len(source) :]
                self.tree[new] = self.tree.pop(old)
                self.versions[new] = seq if new == path else self.versions.pop(old)
                self.folds.pop(fold(old), None)
                self.folds[fold(new)] = new
        elif node is None:
            del self.tree[path]
            self.folds.pop(fold(path), None)
            self.versions[path] = seq
        else:
            self.tree[path] = node
            self.folds[fold(path)] = path
            self.versions[path] = seq
        self.log.append(Change(path, node, source, seq, client))
        self.snapshots.append(dict(self.tree))
        self.committed(seq)
        return seq

    # The protocol's requests.

    def put(self, path: str, node: Node, data: bytes, expect: Node | None, client: str) -> Written:
        current = self.tree.get(path)
        if current == node:
            return Written(self.versions[path], node)
        if current is not None and (current.is_directory or current != expect):
            raise Stale(f"{path} is not what was expected")
        self._make_parents(path, client)
        self._refuse_clash(path)
        self.wins.append(
            (path, expect if current is not None else None, self.versions.get(path, 0))
        )
        self.contents[node.hash] = data
        return Written(self.commit(path, node, client), node, LOG)

    def assemble(self, path: str, manifest: Manifest, expect: Node | None, client: str) -> Written:
        missing = [name for name, _ in manifest.chunks if name not in self.chunks]
        if missing:
            raise ChunksMissing("chunks are missing", missing)
        data = b"".join(self.chunks[name] for name, _ in manifest.chunks)
        assert sha256(data).hexdigest() == manifest.hash, "chunks of another content"
        return self.put(path, Node(False, manifest.hash, manifest.size), data, expect, client)

    def delete(self, path: str, expect: Node, cursor: int, client: str) -> Written:
        current = self.tree.get(path)
        if current is None or current != expect:
            raise Stale(f"{path} is not what was expected")
        if current.is_directory and any(is_below(p, path) for p in self.tree):
            raise Stale(f"{path} is not empty")
        self.wins.append((path, expect, self.versions[path]))
        return Written(self.commit(path, None, client))

    def make_directory(self, path: str, client: str) -> Written:
        current = self.tree.get(path)
        if current is not None:
            if not current.is_directory:
                raise Stale(f"{path} is a file")
            return Written(self.versions[path], current)
        self._make_parents(path, client)
        self._refuse_clash(path)
        return Written(self.commit(path, DIRECTORY, client), DIRECTORY, LOG)

    def move(self, source: str, to: str, expect: Node, cursor: int, client: str) -> Written:
        current = self.tree.get(source)
        if current is None or current != expect or to in self.tree or is_below(to, source):
            raise Stale(f"{source} or {to} is not what was expected")
        if current.is_directory and self.changed_below(source, cursor):
            raise Stale(f"{source} changed since")
        self._make_parents(to, client)
        self._refuse_clash(to, besides=source)
        return Written(self.commit(to, current, client, source), current)

    def changed_below(self, path: str, cursor: int) -> bool:
        return any(
            is_below(p, path) or p == path
            for change in self.log[cursor:]
            for p in (change.path, change.source)
        )

    def _make_parents(self, path: str, client: str) -> None:
        for above in ancestors(path):
            found = self.tree.get(above)
            if found is None:
                self._refuse_clash(above)
                self.commit(above, DIRECTORY, client)
            elif not found.is_directory:
                raise Stale(f"{above} is a file")

    def _refuse_clash(self, path: str, besides: str = "") -> None:
        other = self.folds.get(fold(path))
        if other not in {None, path, besides}:
            raise Stale(f"{path} differs from {other} by case alone")

    def changes_between(self, cursor: int, head: int) -> list[Change]:
        if cursor < self.oldest:
            raise Rescan("the log does not reach back")
        return self.log[cursor:head]


class Replica:
    """One process of the service: it may lag, and it may be down."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.seen = 0
        self.is_up = True
        self.news = Event()
        """Set, and made anew, whenever something changes here."""

    def catch_up(self, to: int) -> None:
        if self.is_up and to > self.seen:
            self.seen = to
            self.rouse()

    def switch(self, *, is_up: bool) -> None:
        self.is_up = is_up
        self.catch_up(len(self.truth.log))
        self.rouse()

    def rouse(self) -> None:
        self.news.set()
        self.news = Event()

    def listing(self) -> Listing:
        return Listing(dict(self.truth.snapshots[self.seen]), self.seen, LOG)

    def changes(self, cursor: int) -> Page:
        if cursor > self.seen:
            return Page(cursor, cursor)
        return Page(self.seen, self.seen, self.truth.changes_between(cursor, self.seen))

    def read(self, path: str) -> tuple[Node, bytes, int]:
        node = self.truth.tree.get(path)
        if node is None or node.is_directory:
            raise Stale(f"there is no file {path}")
        return node, self.truth.contents[node.hash], self.truth.versions[path]
