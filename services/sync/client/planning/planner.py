"""The planner: three trees in, the steps of a round out. A pure function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.sync.client.planning.actions import Plan, steps
from services.sync.client.planning.merge import merge
from services.sync.client.planning.model import Mode, Tree
from services.sync.client.planning.moves import find_moves
from services.sync.client.planning.names import conflict_path


def plan(
    local: Tree, remote: Tree, synced: Tree, *, client: str, date: str, mode: Mode = Mode.TWO_WAY
) -> Plan:
    """Return the steps that make ``local`` and ``remote`` equal, losing nothing.

    ``client`` and ``date`` only name conflict copies. When both trees do not change meanwhile, one
    execution reaches the goal and the next plan is empty; ``local`` and ``remote`` MUST have a
    directory node above every node.
    """
    merged = merge(local, remote, synced, partial(_copy, client, date), mode)
    made = steps(merged.goal, merged.aside, merged.rules, local, remote)
    made.held = merged.held
    if mode in {Mode.PULL, Mode.MIRROR}:
        _keep(made, is_local=True)
    elif mode is Mode.PUSH:
        _keep(made, is_local=False)
    find_moves(made, local, remote)
    return made


def _copy(client: str, date: str, path: str, is_taken: Callable[[str], bool]) -> str:
    return conflict_path(path, client, date, is_taken)


def _keep(made: Plan, *, is_local: bool) -> None:
    """Drop the steps that change the other side."""
    for phase in ("asides", "moves", "deletions", "directories", "transfers"):
        kept = [a for a in getattr(made, phase) if a.kind.is_local is is_local]
        setattr(made, phase, kept)
