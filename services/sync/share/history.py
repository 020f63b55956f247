"""What was: the versions of a path, what was deleted, and the tree as it was at a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.sync.rules.operations import content_of
from services.sync.rules.tree import Node, ShareTree, node_of
from services.sync.share.index import Index
from services.sync.share.reading import Logged, Reader

FAR = 1 << 62
"""A sequence beyond all."""

READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One operation in the life of a path: what it was called and what it was after it."""

    logged: Logged
    path: str
    node: Node | None


def events(index: Index, path: str, limit: int, before: int = FAR) -> list[Event]:
    """Return what happened to ``path``, newest first, following it through moves. Blocks."""
    found: list[Event] = []
    while len(found) < limit:
        batch = index.of(path, before, READ_AT_ONCE)
        if not batch:
            break
        for logged in batch:
            before = logged.seq
            event, earlier = _event(logged, path)
            if event is not None:
                found.append(event)
            if earlier != path:
                path = earlier
                break  # look on under the earlier name
            if len(found) == limit:
                break
    return found


def _event(logged: Logged, path: str) -> tuple[Event | None, str]:
    """Return what an operation meant for ``path``, and what it was called before."""
    kind, body = content_of(logged.entry.operation)
    if kind == "Delete":
        is_concerned = path == body["path"] or path.startswith(body["path"] + "/")
        return (Event(logged, path, None) if is_concerned else None), path
    if kind == "Move":
        source, to = body["from"], body["to"]
        if path == to or path.startswith(to + "/"):
            node = node_of(body["metadata"], logged.seq) if path == to else None
            return Event(logged, path, node), source + path[len(to) :]
        if path == source or path.startswith(source + "/"):
            return Event(logged, path, None), path
        return None, path
    if body["metadata"]["path"] == path:
        return Event(logged, path, node_of(body["metadata"], logged.seq)), path
    return None, path


def version_at(index: Index, path: str, seq: int) -> Node | None:
    """Return what is at ``path`` now (or was last) as it was right after ``seq``. Blocks.

    It may have had another name then; None when it was not there.
    """
    for event in events(index, path, FAR):
        if event.logged.seq > seq:
            continue
        kind = content_of(event.logged.entry.operation)[0]
        if event.node is not None:
            return event.node
        if kind == "Delete" or (kind == "Move" and not _arrived(event)):
            return None
    return None


def _arrived(event: Event) -> bool:
    to: str = content_of(event.logged.entry.operation)[1]["to"]
    return event.path == to or event.path.startswith(to + "/")


class Dropped(Exception):
    """What is asked for lies before the oldest operation that is kept."""


def tree_at(index: Index, seq: int) -> ShareTree:
    """Return the tree right after ``seq``, which the log reaches. Blocks: 3 s for a million operations.

    Dropped when it does not reach so far back, or does not any more: it is trimmed at any time.
    """
    with index.moment() as past:
        tree = past.base()
        if tree.head > seq:
            raise Dropped(f"the oldest tree is that of {tree.head}")
        while tree.head < seq and (batch := past.after(tree.head, READ_AT_ONCE)):
            for logged in batch:
                if logged.seq > seq:
                    return tree
                tree.apply(logged.seq, logged.entry.operation)
    return tree


def sequence_at(index: Index, time: datetime) -> int:
    """Return the last sequence that was committed by ``time``. Blocks."""
    position = found = index.first() - 1
    while batch := index.after(position, READ_AT_ONCE):
        for logged in batch:
            if logged.entry.at > time:
                return found
            found = logged.seq
        position = batch[-1].seq
    return found


def deleted_files(index: Index, tree: ShareTree, limit: int) -> list[Event]:
    """Return files that were deleted and are not there again, newest first. Blocks."""
    with index.moment() as kept:
        gone = _gone(kept)
    found = [event for event in gone.values() if tree.get(event.path) is None]
    return found[::-1][:limit]


def _gone(kept: Reader) -> dict[str, Event]:
    """Return every file that was deleted, by its path, in the order of the deletions."""
    past = kept.base()
    gone: dict[str, Event] = {}
    while batch := kept.after(past.head, READ_AT_ONCE):
        for logged in batch:
            before = dict.fromkeys(_freed(past, logged))
            nodes = {path: past.nodes[path] for path in before}
            past.apply(logged.seq, logged.entry.operation)
            for path, node in nodes.items():
                if not node.is_directory and past.get(path) is None:
                    gone.pop(path, None)
                    gone[path] = Event(logged, path, node)
    return gone


def _freed(tree: ShareTree, logged: Logged) -> list[str]:
    kind, body = content_of(logged.entry.operation)
    if kind != "Delete" or tree.get(body["path"]) is None:
        return []
    return [body["path"], *(node.path for node in tree.walk(body["path"]))]
