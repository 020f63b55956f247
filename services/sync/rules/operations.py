"""Operations: how they are spelled, which paths they speak of.

An operation is the specification's SyncOperation: {"Create": {"metadata": …}}, Update, Delete, Move.
"""

from __future__ import annotations

from typing import Any

from services.sync.rules.tree import Node, Operation

KINDS = ("Create", "Update", "Delete", "Move")
"""What an operation can be."""


def created(node: Node) -> Operation:
    """A path that was free is taken."""
    return {"Create": {"metadata": node.to_json()}}


def updated(node: Node) -> Operation:
    """A file has new content."""
    return {"Update": {"metadata": node.to_json()}}


def deleted(path: str) -> Operation:
    """A path is free, and all below it."""
    return {"Delete": {"path": path}}


def moved(source: str, node: Node) -> Operation:
    """What was at ``source``, with all below it, is at the path of ``node``."""
    return {"Move": {"from": source, "to": node.path, "metadata": node.to_json()}}


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
