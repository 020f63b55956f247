"""Operations as facts about a tree: what they say, and whether it is so.

An operation is the specification's SyncOperation: {"Create": {"metadata": …}}, Update, Delete, Move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.sync.share.tree import Metadata

Operation = dict[str, Any]


def created(metadata: Metadata) -> Operation:
    """A path that was free is taken."""
    return {"Create": {"metadata": metadata.to_json()}}


def updated(metadata: Metadata) -> Operation:
    """A file has new content."""
    return {"Update": {"metadata": metadata.to_json()}}


def deleted(path: str) -> Operation:
    """A path is free."""
    return {"Delete": {"path": path}}


def moved(source: str, metadata: Metadata) -> Operation:
    """What was at ``source`` is at the path of ``metadata``."""
    return {"Move": {"from": source, "to": metadata.path, "metadata": metadata.to_json()}}


def content_of(operation: Operation) -> tuple[str, dict[str, Any]]:
    """Return the kind and the body."""
    ((kind, body),) = operation.items()
    return kind, body


def paths_of(operation: Operation) -> list[str]:
    """Return the paths an operation speaks of; those it frees come first."""
    kind, body = content_of(operation)
    if kind == "Delete":
        return [body["path"]]
    path: str = body["metadata"]["path"]
    return [body["from"], path] if kind == "Move" else [path]


def holds(operation: Operation, at: Callable[[str], Metadata | None]) -> bool:
    """Whether what the operation brings about is so in the tree that ``at`` looks up."""
    kind, body = content_of(operation)
    if kind == "Delete":
        return at(body["path"]) is None
    if kind == "Move" and at(body["from"]) is not None:
        return False
    claimed = body["metadata"]
    now = at(claimed["path"])
    if now is None or now.is_directory != claimed["is_directory"]:
        return False
    return now.is_directory or now.hash == claimed["hash"]
