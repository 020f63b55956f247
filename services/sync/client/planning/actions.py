"""The steps that bring both sides to the goal, each with what it expects to find."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from services.sync.client.planning.model import DIRECTORY, Node, Tree

SMALL = 256 * 1024
"""Bytes up to which a file travels with others: a larger one is not held up by its own round trip."""


class Kind(Enum):
    """What a step does. ``LOCAL_…`` change the disk, ``REMOTE_…`` the server."""

    LOCAL_ASIDE = "keep both"
    LOCAL_MOVE = "move here"
    LOCAL_DELETE = "delete here"
    LOCAL_MKDIR = "make directory here"
    DOWNLOAD = "download"
    REMOTE_MOVE = "move on the server"
    REMOTE_DELETE = "delete on the server"
    REMOTE_MKDIR = "make directory on the server"
    UPLOAD = "upload"

    @property
    def is_local(self) -> bool:
        """Whether it changes this side."""
        return self in _LOCAL


_LOCAL = frozenset(
    {Kind.LOCAL_ASIDE, Kind.LOCAL_MOVE, Kind.LOCAL_DELETE, Kind.LOCAL_MKDIR, Kind.DOWNLOAD}
)


@dataclass(frozen=True, slots=True)
class Action:
    """One step at ``path`` (moves: from ``path`` to ``to``).

    ``node`` is what shall be there; ``expect`` what the side that is changed is believed to have.
    A step whose expectation fails changes nothing and is planned anew from what is found.
    """

    kind: Kind
    path: str
    node: Node | None = None
    expect: Node | None = None
    to: str = ""
    rule: str = ""

    def __str__(self) -> str:
        target = f" -> {self.to}" if self.to else ""
        return f"{self.kind.value}: {self.path}{target}"


@dataclass
class Plan:
    """The steps of a round, in phases: a phase begins when the one before has ended.

    Within a phase the order is the order of the list for moves, deletions (deepest first) and
    directories (outermost first); transfers may run side by side.
    """

    asides: list[Action] = field(default_factory=list)
    moves: list[Action] = field(default_factory=list)
    deletions: list[Action] = field(default_factory=list)
    directories: list[Action] = field(default_factory=list)
    transfers: list[Action] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    agreed: list[str] = field(default_factory=list)
    """Paths where both sides are equal and only the record of it is old."""

    @property
    def actions(self) -> list[Action]:
        """Every step, in order."""
        return [
            *self.asides, *self.moves, *self.deletions, *self.directories, *self.transfers,
        ]  # fmt: skip

    def __bool__(self) -> bool:
        return bool(self.actions)


def steps(goal: dict[str, Node | None], aside: dict[str, str], rules: dict[str, str],
          local: Tree, remote: Tree) -> Plan:  # fmt: skip
    """Return the plan without moves for a goal: see ``moves`` for renames that save a transfer."""
    plan = Plan()
    for path, copy in sorted(aside.items()):
        found = local[path]
        plan.asides.append(Action(Kind.LOCAL_ASIDE, path, found, found, copy, rules.get(path, "")))
    moved_here = {copy: local[path] for path, copy in aside.items()}
    for path, node in goal.items():
        here = None if path in aside else local.get(path)
        here = moved_here.get(path, here)
        there, rule = remote.get(path), rules.get(path, "")
        if here == there == node:
            plan.agreed.append(path)
            continue
        _change(plan, _HERE, path, node, here, rule)
        _change(plan, _THERE, path, node, there, rule)
    plan.deletions.sort(key=lambda a: a.path.count("/"), reverse=True)
    plan.directories.sort(key=lambda a: a.path)
    plan.transfers.sort(key=_turn)
    return plan


_HERE = (Kind.LOCAL_DELETE, Kind.LOCAL_MKDIR, Kind.DOWNLOAD)
_THERE = (Kind.REMOTE_DELETE, Kind.REMOTE_MKDIR, Kind.UPLOAD)


def _turn(action: Action) -> tuple[int, str]:
    """Order transfers: small ones as they are in directories, so that each is opened once; then by size."""
    size = action.node.size if action.node else 0
    return (size if size > SMALL else 0, action.path)


def _change(plan: Plan, kinds: tuple[Kind, Kind, Kind], path: str, node: Node | None,
            found: Node | None, rule: str) -> None:  # fmt: skip
    """Add the steps that turn ``found`` into ``node`` on one side."""
    delete, mkdir, transfer = kinds
    if found == node:
        return
    if found is not None and (node is None or node.is_directory != found.is_directory):
        plan.deletions.append(Action(delete, path, None, found, rule=rule))
        found = None
    if node == DIRECTORY:
        plan.directories.append(Action(mkdir, path, node, found, rule=rule))
    elif node is not None:
        plan.transfers.append(Action(transfer, path, node, found, rule=rule))
