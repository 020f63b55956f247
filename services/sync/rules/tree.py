"""The tree of a share as its log tells it: names, versions, hashes; a pure function of the operations.

Nothing here looks at a disk or a clock. Two replicas that applied the same operations have the same
tree, whatever happened to their disks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One file or directory. ``version`` is the sequence of the operation that made it what it is."""

    path: str
    size: int
    hash: str
    modified: str
    is_directory: bool
    version: int

    def to_json(self) -> dict[str, Any]:
        """Return the specification's FileMetadata."""
        return {
            "path": self.path,
            "size": self.size,
            "hash": self.hash,
            "modified": self.modified,
            "is_directory": self.is_directory,
        }


@dataclass(frozen=True, slots=True)
class Effect:
    """What an operation did: the paths that are free now, and the nodes that are new or changed.

    ``touched`` are directories whose last change below them is another sequence now.
    """

    removed: tuple[str, ...] = ()
    put: tuple[Node, ...] = ()
    touched: tuple[tuple[str, int], ...] = ()


def node_of(metadata: dict[str, Any], version: int) -> Node:
    """Return the node that a FileMetadata describes."""
    return Node(
        metadata["path"],
        metadata["size"],
        metadata["hash"],
        metadata["modified"],
        metadata["is_directory"],
        version,
    )


def above(path: str) -> Iterator[str]:
    """Yield the directories above a path, innermost first; the root "" last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


class ShareTree:
    """The tree after ``head`` operations. About 700 bytes per file."""

    def __init__(self) -> None:
        self.head = 0
        self.nodes: dict[str, Node] = {}
        self.touched: dict[str, int] = {}
        """For each directory, the last sequence that changed anything below it, deletions included."""
        self.size = 0
        """Bytes of all files."""
        self._children: dict[str, dict[str, str]] = {"": {}}
        self._hashes: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.nodes)

    def get(self, path: str) -> Node | None:
        """Return what is at ``path``."""
        return self.nodes.get(path)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory; "" always is one."""
        return path in self._children

    def last_change(self, path: str) -> int:
        """Return the last sequence that changed ``path`` or anything below it."""
        node = self.nodes.get(path)
        return max(node.version if node is not None else 0, self.touched.get(path, 0))

    def clash(self, path: str) -> str | None:
        """Return a sibling whose name differs by case alone: on many systems the same file."""
        directory, _, name = path.rpartition("/")
        other = self.child(directory, name.casefold())
        return other if other != name else None

    def child(self, path: str, key: str) -> str | None:
        """Return the name in a directory that is ``key`` without its case."""
        return self._children.get(path, {}).get(key)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, ordered."""
        return sorted(self._children.get(path, {}).values())

    def walk(self, path: str = "", *, recursive: bool = True) -> Iterator[Node]:
        """Yield what is below a directory: each directory before its contents, names ordered."""
        for name in self.names(path):
            node = self.nodes[f"{path}/{name}" if path else name]
            yield node
            if recursive and node.is_directory:
                yield from self.walk(node.path)

    def count(self, path: str) -> int:
        """Return how many files are at or below ``path``."""
        node = self.nodes.get(path)
        if node is not None and not node.is_directory:
            return 1
        return sum(not below.is_directory for below in self.walk(path))

    def apply(self, sequence: int, operation: Operation) -> Effect:
        """Carry out the operation with that sequence; one that is applied already does nothing."""
        if sequence <= self.head:
            return Effect()
        self.head = sequence
        ((kind, body),) = operation.items()
        if kind == "Delete":
            effect = self._remove(body["path"])
        elif kind == "Move":
            effect = self._move(body["from"], body["to"], sequence)
        elif kind in {"Create", "Update"}:
            effect = self._put(node_of(body["metadata"], sequence))
        else:
            return Effect()  # a newer process may know more kinds
        return self._note(sequence, effect)

    def load(self, nodes: Iterator[Node], touched: dict[str, int], head: int) -> None:
        """Take over a tree that was stored; directories come before what is in them."""
        for node in nodes:
            self._insert(node)
        self.touched = touched
        self.head = head

    def hash_of(self, path: str) -> str | None:
        """Return the tree hash of a directory (docs/sync-protocol.md), None when there is none."""
        names = self._children.get(path)
        if names is None:
            return None
        known = self._hashes.get(path)
        if known is not None:
            return known
        digest = hashlib.sha256()
        for name in sorted(names.values(), key=str.encode):
            node = self.nodes[f"{path}/{name}" if path else name]
            below = self.hash_of(node.path) if node.is_directory else node.hash
            kind = "d" if node.is_directory else "f"
            digest.update(f"{kind}\0{name}\0{below}\n".encode())
        self._hashes[path] = digest.hexdigest()
        return self._hashes[path]

    def _put(self, node: Node) -> Effect:
        there = self.nodes.get(node.path)
        if not self.is_directory(node.path.rpartition("/")[0]):
            return Effect()
        if there is not None and there.is_directory != node.is_directory:
            return Effect()
        if there is not None and there.is_directory:
            return Effect()
        self._insert(node)
        return Effect(put=(node,))

    def _remove(self, path: str) -> Effect:
        if path not in self.nodes:
            return Effect()
        gone = [*[node.path for node in self.walk(path)][::-1], path]
        for each in gone:
            self._drop(each)
        return Effect(removed=tuple(gone))

    def _move(self, source: str, to: str, sequence: int) -> Effect:
        node = self.nodes.get(source)
        if node is None or to in self.nodes or to.startswith(source + "/"):
            return Effect()
        if not self.is_directory(to.rpartition("/")[0]):
            return Effect()
        moved = [replace(node, path=to, version=sequence)]
        moved += [replace(n, path=to + n.path[len(source) :]) for n in self.walk(source)]
        gone = [to_path[len(to) :] for to_path in (n.path for n in reversed(moved))]
        touched = {n.path: self.touched[source + n.path[len(to) :]]
                   for n in moved if source + n.path[len(to) :] in self.touched}  # fmt: skip
        removed = tuple(source + rest for rest in gone)
        for each in removed:
            self._drop(each)
        for each_node in moved:
            self._insert(each_node)
        self.touched.update(touched)
        return Effect(removed=removed, put=tuple(moved), touched=tuple(touched.items()))

    def _note(self, sequence: int, effect: Effect) -> Effect:
        """Mark the directories above everything that changed."""
        marked = dict(effect.touched)
        tops = [*effect.removed[-1:], *(node.path for node in effect.put[:1])]
        for top in tops:
            for directory in above(top):
                self.touched[directory] = sequence
                marked[directory] = sequence
        return replace(effect, touched=tuple(marked.items()))

    def _insert(self, node: Node) -> None:
        directory, _, name = node.path.rpartition("/")
        before = self.nodes.get(node.path)
        self.size += node.size - (before.size if before is not None else 0)
        self.nodes[node.path] = node
        self._children[directory][name.casefold()] = name
        if node.is_directory:
            self._children.setdefault(node.path, {})
        self._forget_hashes(node.path)

    def _drop(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self.size -= self.nodes.pop(path).size
        self._children[directory].pop(name.casefold(), None)
        self._children.pop(path, None)
        self._hashes.pop(path, None)
        self.touched.pop(path, None)
        self._forget_hashes(path)

    def _forget_hashes(self, path: str) -> None:
        for directory in above(path):
            self._hashes.pop(directory, None)
