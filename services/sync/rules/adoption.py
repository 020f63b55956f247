"""What a finding on the disk means for the share: operations, or a copy beside. Pure.

A change is the successor of what was seen at its path before. If that is what the share has there
now, the change is an ordinary one; if the share has moved on meanwhile, it is a conflict, and an edit
beats a deletion, in either order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from services.sync.disk.seen import Seen
from services.sync.disk.survey import Found
from services.sync.protocol import rfc3339
from services.sync.rules.changes import InTheWay, Step, View, make_directory
from services.sync.rules.draft import Draft
from services.sync.rules.operations import created, deleted, moved, updated
from services.sync.rules.tree import Node


class Verdict(enum.Enum):
    """What to do about one finding."""

    KNOWN = "the share has it so"
    CHANGED = "operations say it"
    LOSES = "the share's own version takes the name: set it aside"
    RESTORED = "the share's version comes back"
    REFUSED = "it cannot have that name in a share"


@dataclass(frozen=True, slots=True)
class Adoption:
    """The verdict on one finding, and the operations when there are any."""

    verdict: Verdict
    steps: list[Step] = field(default_factory=list)


def adopt(tree: Draft, found: Found) -> Adoption:
    """Judge one finding in the tree as it will be when it comes to it."""
    node, before = tree.get(found.path), found.before
    if found.seen is None:
        return _gone(tree, before, node)
    try:
        if found.seen.is_directory:
            return _directory(tree, before, node, found)
        return _file(tree, before, node, found)
    except InTheWay:
        return Adoption(Verdict.REFUSED)


def _gone(tree: Draft, before: Seen | None, node: Node | None) -> Adoption:
    if node is None:
        return Adoption(Verdict.KNOWN)
    is_current = before is not None and before.hash == node.hash
    if is_current and not (node.is_directory and tree.names(node.path)):
        return Adoption(Verdict.CHANGED, [Step(deleted(node.path), node.version)])
    return Adoption(Verdict.RESTORED)


def _directory(tree: Draft, before: Seen | None, node: Node | None, found: Found) -> Adoption:
    assert found.seen is not None
    if node is not None and node.is_directory:
        return Adoption(Verdict.KNOWN)
    steps: list[Step] = []
    if node is not None:
        if before is None or before.hash != node.hash:
            return Adoption(Verdict.LOSES)
        steps.append(Step(deleted(node.path), node.version))
        made = Node(found.path, 0, "", rfc3339(found.seen.modified_ns), True, 0)
        return Adoption(Verdict.CHANGED, [*steps, Step(created(made))])
    plan = make_directory(tree, found.path, rfc3339(found.seen.modified_ns))
    return Adoption(Verdict.CHANGED, list(plan.steps))


def _file(tree: Draft, before: Seen | None, node: Node | None, found: Found) -> Adoption:
    assert found.seen is not None
    seen = found.seen
    wanted = Node(found.path, seen.size, seen.hash, rfc3339(seen.modified_ns), False, 0)
    if node is None:
        parent = found.path.rpartition("/")[0]
        steps = list(make_directory(tree, parent, wanted.modified).steps) if parent else []
        if tree.clash(found.path) is not None:
            raise InTheWay(found.path)
        return Adoption(Verdict.CHANGED, [*steps, Step(created(wanted))])
    if node.is_directory:
        if tree.names(node.path) or before is None or not before.is_directory:
            return Adoption(Verdict.LOSES)
        steps = [Step(deleted(node.path), node.version), Step(created(wanted))]
        return Adoption(Verdict.CHANGED, steps)
    if node.hash == seen.hash:
        return Adoption(Verdict.KNOWN)
    if before is not None and before.hash == node.hash:
        return Adoption(Verdict.CHANGED, [Step(updated(wanted), node.version)])
    return Adoption(Verdict.LOSES)


def find_move(tree: View, found: list[Found]) -> tuple[str, str, Step] | None:
    """Return a file or directory that has another name now, told by its inode, if there is one.

    The outermost comes first; what is below a directory needs no operation of its own.
    """
    gone = {
        (s.inode, s.is_directory): f
        for f in reversed(found)
        if f.seen is None and (s := f.before) is not None and s.inode
    }
    for each in found:
        now = each.seen
        old = None if now is None else gone.get((now.inode, now.is_directory))
        if now is None or old is None or old.before is None:
            continue
        source, before = old.path, old.before
        node = tree.get(source)
        parent = each.path.rpartition("/")[0]
        is_free = tree.get(each.path) is None and tree.clash(each.path) is None
        if node is None or not is_free or not tree.is_directory(parent):
            continue
        if node.hash != now.hash or before.hash != node.hash:
            continue
        if each.path.startswith(source + "/") or node.is_directory != now.is_directory:
            continue
        to = Node(each.path, node.size, node.hash, node.modified, node.is_directory, 0)
        return source, each.path, Step(moved(source, to), node.version)
    return None
