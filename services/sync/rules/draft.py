"""A tree with some operations on top that are not in the log yet: for plans of more than one step."""

from __future__ import annotations

from services.sync.rules.operations import content_of, paths_of
from services.sync.rules.tree import Node, Operation, ShareTree, above, node_of

UNKNOWN = 1 << 62
"""A sequence beyond all: that of an operation that is not in the log yet."""


class Draft:
    """Answers as the tree would after the operations it was given. A move cannot be one of them."""

    def __init__(self, tree: ShareTree | Draft) -> None:
        self._tree = tree
        self.size: int = tree.size
        self._length = len(tree)
        self._changed: set[str] = set()
        self._put: dict[str, Node] = {}
        self._removed: set[str] = set()
        self._children: dict[str, dict[str, str | None]] = {}
        """For each directory that changed: what has a name now; None where a name is free."""

    def get(self, path: str) -> Node | None:
        """Return what would be at ``path``."""
        if path in self._put:
            return self._put[path]
        return None if path in self._removed else self._tree.get(path)

    def is_directory(self, path: str) -> bool:
        """Whether there would be a directory."""
        node = self.get(path)
        return not path or (node is not None and node.is_directory)

    def names(self, path: str) -> list[str]:
        """Return the names that would be in a directory, ordered."""
        held = self._tree.names(path) if self._is_held(path) else []
        names: dict[str, str | None] = {name.casefold(): name for name in held}
        names.update(self._children.get(path, {}))
        return sorted(name for name in names.values() if name is not None)

    def child(self, path: str, key: str) -> str | None:
        """Return the name in a directory that is ``key`` without its case."""
        changed = self._children.get(path, {})
        if key in changed:
            return changed[key]
        return self._tree.child(path, key) if self._is_held(path) else None

    def clash(self, path: str) -> str | None:
        """Return a sibling that would differ by case alone."""
        directory, _, name = path.rpartition("/")
        other = self.child(directory, name.casefold())
        return other if other != name else None

    def last_change(self, path: str) -> int:
        """Return the last sequence that changed ``path`` or anything below it; UNKNOWN if it is to come."""
        return UNKNOWN if path in self._changed else self._tree.last_change(path)

    def __len__(self) -> int:
        return self._length

    def count(self, path: str) -> int:
        """Return how many files would be at or below ``path``."""
        node = self.get(path)
        if node is not None and not node.is_directory:
            return 1
        return sum(self.count(f"{path}/{name}" if path else name) for name in self.names(path))

    def apply(self, operation: Operation) -> None:
        """Put one more operation on top."""
        kind, body = content_of(operation)
        assert kind != "Move"
        for path in paths_of(operation):
            self._changed.update((path, *above(path)))
        if kind == "Delete":
            self._remove(body["path"])
            return
        node = node_of(body["metadata"], 0)
        before = self.get(node.path)
        self.size += node.size - (before.size if before is not None else 0)
        self._length += before is None
        directory, _, name = node.path.rpartition("/")
        self._children.setdefault(directory, {})[name.casefold()] = name
        self._put[node.path] = node
        self._removed.discard(node.path)

    def _remove(self, path: str) -> None:
        for name in self.names(path):
            self._remove(f"{path}/{name}")
        node = self.get(path)
        self.size -= node.size if node is not None else 0
        self._length -= node is not None
        directory, _, name = path.rpartition("/")
        self._children.setdefault(directory, {})[name.casefold()] = None
        self._put.pop(path, None)
        self._removed.add(path)
        self._children.pop(path, None)

    def _is_held(self, path: str) -> bool:
        """Whether a directory is the one that the tree has."""
        return path not in self._removed and path not in self._put
