"""What a writer demands of what is there: checked against the tree, at the moment of the commit."""

from __future__ import annotations

from dataclasses import dataclass

from services.sync.rules.draft import Draft
from services.sync.rules.tree import Node, ShareTree


class Conflicted(Exception):
    """Somebody was faster: what is there now is not what the writer had seen."""

    def __init__(self, problem: str, current: Node | None) -> None:
        super().__init__(problem)
        self.current = current


@dataclass(frozen=True, slots=True)
class Condition:
    """``match``: one of these must be there; ``none_match``: none of these may.

    They are hashes, "v" and a version, or "*". ``base``: nothing at the path or below it may be newer
    than that sequence.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] = frozenset()
    base: int | None = None

    def check(self, tree: ShareTree | Draft, path: str) -> None:
        """Raise Conflicted unless it holds."""
        node = tree.get(path)
        if self.match is not None and not _names(self.match, node):
            raise Conflicted(f"{path} is not what If-Match names", node)
        if self.none_match and _names(self.none_match, node):
            raise Conflicted(f"{path} is there already", node)
        if self.base is not None and node is not None and tree.last_change(path) > self.base:
            raise Conflicted(f"{path} was changed after {self.base}", node)

    def base_version(self, tree: ShareTree | Draft, path: str) -> int | None:
        """Return the version that a writer whose condition holds had seen; None when it did not say."""
        node = tree.get(path)
        if node is None or (self.match is None and self.base is None):
            return None
        return node.version


ALWAYS = Condition()


def _names(tags: frozenset[str], node: Node | None) -> bool:
    if node is None:
        return False
    return "*" in tags or f"v{node.version}" in tags or bool(node.hash and node.hash in tags)
