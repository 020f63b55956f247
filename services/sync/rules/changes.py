"""What a wish becomes: the operations it takes in a given tree, by the rules of conflict. Pure.

Nothing is lost by any of these: what an operation overwrites or frees stays in history, and what may
not have its name gets one beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from services.sync.disk.folder import InTheWay, NotThere
from services.sync.rules.conditions import ALWAYS, Condition, Conflicted
from services.sync.rules.draft import Draft
from services.sync.rules.operations import created, deleted, moved, updated
from services.sync.rules.tree import Node, Operation, ShareTree, above
from services.sync.share.paths import LONGEST_SEGMENT

View = ShareTree | Draft


@dataclass(frozen=True, slots=True)
class Step:
    """One operation to append, the version its author had seen, the rule that made it."""

    operation: Operation
    base_version: int | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps, and where what was wished ends up. Without steps it is so already."""

    steps: tuple[Step, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who wishes it, and when: for the names of conflict copies."""

    client: str
    at: datetime


def write(
    tree: View, wanted: Node, condition: Condition, author: Author, *, makes_copy: bool
) -> Plan:
    """Plan a file's content at its path; Conflicted or InTheWay, unless ``makes_copy``."""
    path, there = wanted.path, tree.get(wanted.path)
    if there is not None and not there.is_directory and there.hash == wanted.hash:
        return Plan((), path)
    try:
        if there is None and makes_copy:
            condition = replace(condition, match=None)  # an edit beats a delete
        condition.check(tree, path)
        parents = _parents(tree, path, wanted.modified)
        _require_free_name(tree, path)
        if there is not None and there.is_directory:
            raise InTheWay(f"{path} is a directory")
    except (Conflicted, InTheWay) as error:
        if not makes_copy:
            raise
        copy = conflict_copy(tree, path, author)
        rule = "conflict: another version was first"
        if isinstance(error, InTheWay):
            rule = f"conflict: {error}"
        return Plan((Step(created(replace(wanted, path=copy)), None, rule),), copy)
    operation = created(wanted) if there is None else updated(wanted)
    base = condition.base_version(tree, path)
    return Plan((*parents, Step(operation, base)), path)


def remove(tree: View, path: str, condition: Condition, *, recursive: bool) -> Plan:
    """Plan a deletion. NotThere, Conflicted, or InTheWay for a directory that is not empty."""
    there = tree.get(path)
    if there is None:
        raise NotThere(path)
    condition.check(tree, path)
    if not recursive and there.is_directory and tree.names(path):
        raise InTheWay(f"{path} is not empty")
    return Plan((Step(deleted(path), condition.base_version(tree, path)),), path)


def move(tree: View, source: str, to: str, condition: Condition) -> Plan:
    """Plan a move of a file or a directory with all below it; the target must be free."""
    there = tree.get(source)
    if there is None:
        raise NotThere(source)
    condition.check(tree, source)
    if to == source:
        return Plan((), to)
    if to.startswith(source + "/"):
        raise InTheWay("a directory cannot be moved into itself")
    if tree.get(to) is not None:
        raise InTheWay(f"{to} exists")
    parents = _parents(tree, to, there.modified)
    other = tree.clash(to)
    own = source.rpartition("/")[2] if source.rpartition("/")[0] == to.rpartition("/")[0] else None
    if other is not None and other != own:
        raise InTheWay(f"{to} differs from {other} by case alone")
    operation = moved(source, replace(there, path=to))
    return Plan((*parents, Step(operation, condition.base_version(tree, source))), to)


def make_directory(tree: View, path: str, modified: str) -> Plan:
    """Plan a directory and those above it."""
    there = tree.get(path)
    if there is not None:
        if not there.is_directory:
            raise InTheWay(f"{path} is a file")
        return Plan((), path)
    parents = _parents(tree, path, modified)
    _require_free_name(tree, path)
    node = Node(path, 0, "", modified, is_directory=True, version=0)
    return Plan((*parents, Step(created(node))), path)


def conflict_copy(tree: View, path: str, author: Author) -> str:
    """Return a free name beside ``path`` for content that may not have it."""
    directory, _, name = path.rpartition("/")
    while directory and not tree.is_directory(directory):
        directory = directory.rpartition("/")[0]
    client = re.sub(r"[^A-Za-z0-9._-]", "", author.client)[:64].strip(".") or "client"
    for mark in _marks(f"conflict of {client}, {author.at:%Y-%m-%d %H.%M.%S}"):
        stem, dot, suffix = name.rpartition(".")
        if not stem:
            stem, dot, suffix = name, "", ""
        room = LONGEST_SEGMENT - len(f" ({mark}){dot}{suffix}".encode())
        short = stem.encode()[: max(room, 1)].decode(errors="ignore")
        found = f"{short} ({mark}){dot}{suffix}"
        found = f"{directory}/{found}" if directory else found
        if tree.get(found) is None and tree.clash(found) is None:
            return found
    raise AssertionError("numbers do not end")


def _marks(first: str) -> Iterator[str]:
    yield first
    number = 2
    while True:
        yield f"{first} {number}"
        number += 1


def _parents(tree: View, path: str, modified: str) -> tuple[Step, ...]:
    """Return the steps that make the directories above ``path``."""
    missing: list[Step] = []
    for directory in above(path):
        if tree.is_directory(directory):
            break
        if tree.get(directory) is not None:
            raise InTheWay(f"{directory} is a file")
        _require_free_name(tree, directory)
        node = Node(directory, 0, "", modified, is_directory=True, version=0)
        missing.append(Step(created(node)))
    return tuple(reversed(missing))


def _require_free_name(tree: View, path: str) -> None:
    other = tree.clash(path)
    if other is not None:
        raise InTheWay(f"{path} differs from {other} by case alone")


__all__ = [
    "ALWAYS", "Author", "Condition", "Conflicted", "InTheWay", "NotThere", "Plan", "Step",
    "conflict_copy", "make_directory", "move", "remove", "write",
]  # fmt: skip
