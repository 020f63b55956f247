"""A tree with some operations on top that are not in the log yet: for plans of more than one step."""

from __future__ import annotations

from services.sync.share.operations import content_of
from services.sync.share.tree import Node, Operation, ShareTree, node_of


class Draft:
    """Answers as the tree would after the operations it was given. Moves end a draft."""

    def __init__(self, tree: ShareTree) -> None:
        self._tree = tree
        self._put: dict[str, Node] = {}
        self._removed: set[str] = set()
        self._children: dict[str, dict[str, str]] = {}

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
        return sorted(self._names(path).values())

    def clash(self, path: str) -> str | None:
        """Return a sibling that would differ by case alone."""
        directory, _, name = path.rpartition("/")
        other = self._names(directory).get(name.casefold())
        return other if other != name else None

    def last_change(self, path: str) -> int:
        """Return the last sequence that changed ``path`` or anything below it."""
        return self._tree.last_change(path)

    def apply(self, operation: Operation) -> None:
        """Put one more operation on top."""
        kind, body = content_of(operation)
        assert kind != "Move"
        if kind == "Delete":
            self._remove(body["path"])
            return
        node = node_of(body["metadata"], 0)
        directory, _, name = node.path.rpartition("/")
        self._names(directory)[name.casefold()] = name
        self._put[node.path] = node
        self._removed.discard(node.path)

    def _remove(self, path: str) -> None:
        for name in self.names(path):
            self._remove(f"{path}/{name}")
        directory, _, name = path.rpartition("/")
        self._names(directory).pop(name.casefold(), None)
        self._put.pop(path, None)
        self._removed.add(path)
        self._children.pop(path, None)

    def _names(self, path: str) -> dict[str, str]:
        known = self._children.get(path)
        if known is None:
            held = path not in self._removed and path not in self._put
            names = self._tree.names(path) if held or not path else []
            known = self._children[path] = {name.casefold(): name for name in names}
        return known
