"""The operations that make a path what it was. Pure."""

from __future__ import annotations

from collections.abc import Callable

from services.sync.rules.changes import InTheWay, Plan, Step, make_directory
from services.sync.rules.draft import Draft
from services.sync.rules.operations import created, deleted, updated
from services.sync.rules.tree import Node, ShareTree

RULE = "restored"


def plan_restore(draft: Draft, past: ShareTree, path: str, lost: set[str]) -> Plan:
    """Plan how ``path`` ("": everything) becomes what it is in ``past``, but for the ``lost``."""
    steps: list[Step] = []

    def do(step: Step) -> None:
        draft.apply(step.operation)
        steps.append(step)

    wanted = {node.path: node for node in _at(past, path)}
    for node in _draft_at(draft, path):
        there = draft.get(node.path)
        if there is None:
            continue  # went with a directory
        old = wanted.get(node.path)
        if old is None or old.is_directory != node.is_directory:
            do(Step(deleted(node.path), node.version, RULE))
    for node in wanted.values():
        if node.path in lost:
            continue
        now = draft.get(node.path)
        if now is not None:
            if not node.is_directory and now.hash != node.hash:
                do(Step(updated(node), now.version, RULE))
            continue
        _make_parents(draft, node, do)
        if draft.clash(node.path) is None:
            do(Step(created(node), None, RULE))
    return Plan(tuple(steps), path)


def _make_parents(draft: Draft, node: Node, do: Callable[[Step], None]) -> None:
    parent = node.path.rpartition("/")[0]
    if not parent:
        return
    try:
        plan = make_directory(draft, parent, node.modified)
    except InTheWay:
        return
    for step in plan.steps:
        do(step)


def _at(tree: ShareTree, path: str) -> list[Node]:
    node = tree.get(path)
    return ([node] if node is not None else []) + list(tree.walk(path))


def _draft_at(draft: Draft, path: str) -> list[Node]:
    """Return what is at and below a path, outermost first."""
    node = draft.get(path)
    found = [node] if node is not None else []
    for name in draft.names(path):
        found += _draft_at(draft, f"{path}/{name}" if path else name)
    return found
