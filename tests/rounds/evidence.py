"""What each replica has in its place of the log: compared after each round, kept when one fails.

A replica that carried out something else than the log says is wrong for good and may look well: it stands at
the head, and who asks another one sees nothing. Its own index tells.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from services.sync.rules.tree import Operation, ShareTree

Ids = dict[int, str]
"""The op_id at each sequence."""


def indexes(directory: Path) -> dict[str, Path]:
    """Return the index of each replica of a deployment's one share, by the name of its process."""
    found = sorted(directory.rglob("index.db"))
    return {
        path.relative_to(directory).parts[0]: path
        for path in found
        if "jetstream" not in path.parts  # the bus has files of that name too
    }


def noted(index: Path, since: int) -> Ids:
    """Return what a replica has behind a sequence; it may be at work."""
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True, timeout=5)) as database:
        return dict(database.execute("SELECT seq, op_id FROM op WHERE seq > ?", (since,)))


def otherwise(who: str, ids: Ids, log: Ids) -> list[str]:
    """Say where somebody has something else than the log; what is not there yet is not else."""
    wrong = sorted(seq for seq in ids.keys() & log.keys() if ids[seq] != log[seq])
    return [f"{who} has {ids[seq]} at {seq}, where the log has {log[seq]}" for seq in wrong[:3]]


def replicas_otherwise(directory: Path, log: Ids, since: int) -> list[str]:
    """Say which replicas have something else behind ``since``, and which are not at the head.

    What one has beyond the head is compared in the next round.
    """
    problems = []
    for name, index in indexes(directory).items():
        ids = noted(index, since)
        problems += otherwise(name, ids, log)
        if missing := sorted(log.keys() - ids.keys()):
            problems.append(f"{name} has not {missing[0]}, which is in the log")
    return problems


class Replay:
    """The log applied by the rules of the share: each operation in it does something."""

    def __init__(self) -> None:
        self._tree = ShareTree()

    def idle(self, operations: Iterable[tuple[int, Operation]]) -> list[str]:
        """Apply what comes next; name the operations that change nothing."""
        found = []
        for seq, operation in operations:
            effect = self._tree.apply(seq, operation)
            if not effect.put and not effect.removed:
                found.append(f"{seq} changes nothing: {operation}")
        return found
