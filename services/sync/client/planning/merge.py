"""Three trees become one goal: what both sides shall have, and what must give way first.

The rules, in the order they are asked (L local, R remote, S last synced):

1. L = R: agreed, whatever S says. Identical content is no conflict.
2. R = S: only the local side changed; its version is the goal, deletions included.
3. L = S: only the remote side changed; its version is the goal.
4. One side deleted, the other edited: the edit wins.
5. Both edited: the server's version keeps the name, the local one becomes a conflict copy.

Then what single paths cannot decide: a directory lives while anything below it does; where one side
has a file and the other a directory with something to keep, the local one gives way; two names
that differ by case or Unicode form alone cannot both be, and the one the server does not have gives
way. Giving way is a rename, so nothing is ever lost by a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.sync.client.planning.model import (
    DIRECTORY,
    Mode,
    Node,
    Tree,
    ancestors,
    fold,
    is_below,
)


@dataclass
class Merged:
    """The goal at every path that is not the same in all three trees (None: nothing)."""

    goal: dict[str, Node | None] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    """Local files that give way: path -> the path of the copy."""
    held: dict[str, str] = field(default_factory=dict)
    """Paths that differ and are left alone because of the mode, with the reason."""
    rules: dict[str, str] = field(default_factory=dict)
    """Why a path's goal is what it is, in words for people."""


Copy = Callable[[str, Callable[[str], bool]], str]
"""Names a conflict copy of a path, given which paths are taken."""


def merge(local: Tree, remote: Tree, synced: Tree, copy: Copy, mode: Mode = Mode.TWO_WAY) -> Merged:
    """Return the goal of a round. Pure; ends after one pass over each kind of clash."""
    return _Merge(local, remote, synced, copy, mode).run()


def decide(local: Node | None, remote: Node | None, synced: Node | None) -> tuple[str, Node | None]:
    """Return (rule, goal) for one path by the five rules."""
    if local == remote:
        return "both sides agree", local
    if remote == synced:
        return "changed here only", local
    if local == synced:
        return "changed on the server only", remote
    if local is None:
        return "edited on the server, deleted here: the edit wins", remote
    if remote is None:
        return "edited here, deleted on the server: the edit wins", local
    return "edited on both sides: the server's version keeps the name", remote


class _Merge:
    def __init__(self, local: Tree, remote: Tree, synced: Tree, copy: Copy, mode: Mode) -> None:
        self._local, self._remote, self._synced = local, remote, synced
        self._copy = copy
        self._mode = mode
        self._merged = Merged()
        self._goal = self._merged.goal
        self._copies: dict[str, str] = {}
        self._folded: set[str] | None = None

    def run(self) -> Merged:
        """Decide path by path, then settle what paths do to one another."""
        local, remote, synced = self._local, self._remote, self._synced
        every = local.keys() | remote.keys() | synced.keys()
        changed = [p for p in every if not (local.get(p) == remote.get(p) == synced.get(p))]
        for path in sorted(changed):
            self._decide(path, local.get(path), remote.get(path), synced.get(path))
        self._settle_kinds()
        self._settle_cases()  # after: a directory that is kept may be the name that clashes
        self._name_copies()
        return self._merged

    def _decide(
        self, path: str, here: Node | None, there: Node | None, before: Node | None
    ) -> None:
        rule, goal = decide(here, there, before)
        if here != there:
            if self._mode is Mode.PUSH and (goal != here or there not in {before, None}):
                self._merged.held[path] = f"{rule}; nothing comes down while pushing"
                return
            if self._mode is Mode.PULL and there is None and goal == here:
                self._merged.held[path] = f"{rule}; nothing goes up while pulling"
                return
            if self._mode in {Mode.PULL, Mode.MIRROR}:
                rule, goal = "the server's version is the goal", there
        self._goal[path] = goal
        self._merged.rules[path] = rule
        is_lost = here is not None and not here.is_directory and here not in {goal, before}
        if is_lost and self._mode in {Mode.TWO_WAY, Mode.PULL}:
            self._give_way(path, path)

    def _at(self, path: str) -> Node | None:
        """The goal at any path; where all three trees agree, what they agree on."""
        return self._goal[path] if path in self._goal else self._local.get(path)

    def _give_way(self, path: str, top: str) -> None:
        """Let the local file at ``path`` become a copy: beside ``top``, which is it or above it."""
        self._merged.aside.setdefault(path, top)

    def _settle_cases(self) -> None:
        """Let the local side of two names that are one on some systems give way."""
        new = [p for p in self._goal if self._goal[p] is not None and p not in self._remote]
        if not new:
            return
        folds = {fold(path) for path in new}
        owners: dict[str, str] = {}
        every = self._local.keys() | self._remote.keys() | self._goal.keys()
        rivals = [path for path in every if fold(path) in folds and self._at(path) is not None]
        for path in sorted(rivals, key=lambda p: (p not in self._remote, p)):
            if self._at(path) is None:
                continue  # it went aside with its directory
            owner = owners.setdefault(fold(path), path)
            if owner != path and path not in self._remote:
                self._move_aside(path, "its name differs from another's by case or form alone")

    def _move_aside(self, top: str, rule: str) -> None:
        """Let everything local at and below ``top`` give way; the server has nothing there."""
        for path in [top, *(p for p in self._local if is_below(p, top))]:
            node = self._local.get(path)
            if node is not None and not node.is_directory:
                self._give_way(path, top)
            self._goal[path] = self._remote.get(path)
            self._merged.rules[path] = rule

    def _settle_kinds(self) -> None:
        """Keep directories that are needed; where a file is in their place, the local side gives way."""
        for path in sorted(self._goal):
            node = self._goal[path]
            if node is None:
                continue
            for above in ancestors(path):
                found = self._at(above)
                if found is not None and found.is_directory:
                    continue
                if found is None:
                    self._goal[above] = DIRECTORY
                    self._merged.rules[above] = "something below it is kept"
                elif self._remote.get(above) == found:
                    self._displace(path, above, node)
                    break
                else:
                    self._give_way(above, above)
                    self._goal[above] = DIRECTORY
                    self._merged.rules[above] = (
                        "a directory with changes on the server keeps the name"
                    )

    def _displace(self, path: str, above: str, node: Node) -> None:
        """Move a local change out of a directory whose name is a file on the server."""
        if not node.is_directory:
            self._give_way(path, above)
        self._goal[path] = None
        self._merged.rules[path] = "its directory is a file on the server"

    def _name_copies(self) -> None:
        taken = {fold(c) for c in self._copies.values()}
        for path, top in sorted(self._merged.aside.items()):
            if top not in self._copies:
                self._copies[top] = self._copy(top, lambda p: fold(p) in taken or self._is_taken(p))
                taken.add(fold(self._copies[top]))
            copy = self._copies[top] + path[len(top) :]
            self._merged.aside[path] = copy
            self._goal[copy] = self._local[path]
            self._merged.rules[copy] = f"the version of {path} that was here"
            for above in ancestors(copy):
                if self._at(above) is None:
                    self._goal[above] = DIRECTORY

    def _is_taken(self, path: str) -> bool:
        if self._folded is None:
            every = self._local.keys() | self._remote.keys() | self._synced.keys()
            self._folded = {fold(known) for known in every}
        return fold(path) in self._folded
