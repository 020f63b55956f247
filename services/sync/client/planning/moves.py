"""Recognising renames: what vanishes in one place and appears in another with the same content.

A renamed directory is one step, whatever it holds; a renamed file costs no transfer.
"""

from __future__ import annotations

from bisect import bisect_left

from services.sync.client.planning.actions import Action, Kind, Plan
from services.sync.client.planning.model import Node, Tree, fold, is_below, parent_of

_SIDES = (
    (Kind.LOCAL_MOVE, Kind.LOCAL_DELETE, Kind.LOCAL_MKDIR, Kind.DOWNLOAD),
    (Kind.REMOTE_MOVE, Kind.REMOTE_DELETE, Kind.REMOTE_MKDIR, Kind.UPLOAD),
)


def find_moves(plan: Plan, local: Tree, remote: Tree) -> None:
    """Replace deletions and additions on one side by moves, in place.

    A target's parent must exist before the round: a move is made before directories are. Sources
    must be whole: everything below a moved directory is found, unchanged, below its new name.
    """
    for kinds, tree in zip(_SIDES, (local, remote), strict=True):
        side = _Side(plan, kinds, tree)
        if side.gone and side.new:
            side.find_directories()
            side.find_files()


class _Side:
    def __init__(self, plan: Plan, kinds: tuple[Kind, Kind, Kind, Kind], tree: Tree) -> None:
        self._plan = plan
        self._move, delete, mkdir, transfer = kinds
        self._tree = tree
        self.gone = {a.path: a for a in plan.deletions if a.kind is delete}
        self.new = {
            a.path: a
            for a in (*plan.directories, *plan.transfers)
            if a.kind in {mkdir, transfer} and a.expect is None and a.path not in self.gone
        }
        self._folds = {fold(path): path for path in self.gone}
        self._removed: set[Action] = set()

    def find_directories(self) -> None:
        """Find directories that have another name, outermost first."""
        gone, new = sorted(self.gone), sorted(self.new)
        by_content: dict[Node, list[str]] = {}
        for path, action in self.gone.items():
            if action.expect is not None and not action.expect.is_directory:
                by_content.setdefault(action.expect, []).append(path)
        for path in new:
            found = self.new.get(path)
            if found is None or found.node is None or not found.node.is_directory:
                continue
            if self._has_place(path):
                below = _subtree(new, path)
                source = self._source_of(path, below, by_content, gone)
                if source is not None:
                    self._take_directory(source, path, below, gone)

    def find_files(self) -> None:
        """Find files that have another name."""
        by_content: dict[Node, list[Action]] = {}
        for _, action in sorted(self.gone.items(), reverse=True):
            if action.expect is not None and not action.expect.is_directory:
                by_content.setdefault(action.expect, []).append(action)
        for path, action in sorted(self.new.items()):
            if action.node is None or action.node.is_directory or not self._has_place(path):
                continue
            sources = by_content.get(action.node)
            if sources and action.node.size and self._is_free(path, sources[-1].path):
                source = sources.pop()
                self._replace(source.path, path, action.node)
                self._removed |= {source, action}
        self._apply()

    def _is_free(self, path: str, source: str) -> bool:
        """Whether nothing but the source itself holds a name that differs by case alone, and goes later."""
        return self._folds.get(fold(path)) in {None, source}

    def _has_place(self, path: str) -> bool:
        """Whether the directory above is there already, and stays."""
        above = parent_of(path)
        return not above or (above in self._tree and above not in self.gone
                             and self._tree[above].is_directory)  # fmt: skip

    def _source_of(
        self, path: str, below: list[str], by_content: dict[Node, list[str]], gone: list[str]
    ) -> str | None:
        """Return a directory that is gone and had exactly what the new one at ``path`` has."""
        files = [
            (p, n) for p in below if (n := self.new[p].node) is not None and not n.is_directory
        ]
        if not files:
            return None
        first, node = files[0]
        suffix = first[len(path) :]
        for candidate in by_content.get(node, []):
            source = candidate.removesuffix(suffix)
            is_whole = candidate != source and source in self.gone and not is_below(path, source)
            is_whole = is_whole and self._is_free(path, source)
            if is_whole and self._is_same(source, path, below, gone):
                return source
        return None

    def _is_same(self, source: str, path: str, below: list[str], gone: list[str]) -> bool:
        there = [p for p in _subtree(gone, source) if p in self.gone]
        if len(there) != len(below):
            return False
        whole = sum(is_below(p, source) for p in self._tree)
        return whole == len(there) and all(
            old[len(source) :] == now[len(path) :] and self.gone[old].expect == self.new[now].node
            for old, now in zip(there, below, strict=True)
        )

    def _take_directory(self, source: str, path: str, below: list[str], gone: list[str]) -> None:
        node = self.gone[source].expect
        assert node is not None
        self._replace(source, path, node)
        for old in [source, *_subtree(gone, source)]:
            self._removed.add(self.gone.pop(old))
        for now in [path, *below]:
            self._removed.add(self.new.pop(now))

    def _replace(self, source: str, to: str, node: Node) -> None:
        self._plan.moves.append(Action(self._move, source, node, node, to, "renamed"))

    def _apply(self) -> None:
        plan = self._plan
        for phase in ("deletions", "directories", "transfers"):
            kept = [a for a in getattr(plan, phase) if a not in self._removed]
            setattr(plan, phase, kept)


def _subtree(ordered: list[str], directory: str) -> list[str]:
    """Return the paths below a directory out of an ordered list."""
    prefix = directory + "/"
    return ordered[bisect_left(ordered, prefix) : bisect_left(ordered, directory + "0")]
