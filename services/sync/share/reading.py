"""Reading what the index of a share has: of now, or several things of one moment."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from quantum.bus.subjects import ShareOperation
from services.sync.rules.tree import Node, ShareTree, above

HASHED_AT_ONCE = 2000
"""Operations read at a time for their contents: a megabyte, and some 20 ms in which no other thread reads."""


class Logged(NamedTuple):
    """One operation of the log."""

    seq: int
    entry: ShareOperation


class Reader:
    """One connection. Where it is in a transaction, everything is of the moment of its first statement."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._read = database
        self._reading = threading.Lock()
        """A statement sees what the oldest one that is not over on its connection saw: of threads that
        read the past at the same time one would hide from another what was just committed."""

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        """Return what a statement finds in what is committed now. Blocks."""
        with self._reading:
            return self._read.execute(statement, values).fetchall()

    def base(self) -> ShareTree:
        """Return the tree before the oldest operation that is here."""
        tree = ShareTree()
        rows = self._rows(
            "SELECT (SELECT value FROM meta WHERE key = 'base'), base.* FROM (SELECT 1) LEFT JOIN base"
        )  # one statement: both are of one moment
        nodes = [node_of_row(row[1:]) for row in rows if row[1] is not None]
        tree.load(outermost_first(nodes), {}, int(rows[0][0] or 0))
        return tree

    def hashes(self) -> set[str]:
        """Return every content that an operation here, or the tree before them, speaks of."""
        found = {row[0] for row in self._rows("SELECT hash FROM base")}
        at = 0
        while logged := self.after(at, HASHED_AT_ONCE):
            at = logged[-1].seq
            for body in (body for each in logged for body in each.entry.operation.values()):
                found.add(body.get("metadata", {}).get("hash", ""))
        return found

    def after(self, seq: int, limit: int) -> list[Logged]:
        """Return the operations after a sequence, in order."""
        rows = self._rows(
            "SELECT seq, entry FROM op WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )
        return logged_of(rows)

    def of(self, path: str, before: int, limit: int) -> list[Logged]:
        """Return operations on ``path``, and on directories above it, before a sequence, newest first."""
        places = [path, *[d for d in above(path) if d]]
        marks = ",".join("?" * len(places))
        rows = self._rows(
            f"SELECT DISTINCT op.seq, entry FROM place JOIN op ON op.seq = place.seq"  # noqa: S608
            f" WHERE place.path IN ({marks}) AND op.seq < ? ORDER BY op.seq DESC LIMIT ?",
            (*places, before, limit),
        )
        return logged_of(rows)


def logged_of(rows: Iterable[tuple[int, str]]) -> list[Logged]:
    """Return rows of sequence and JSON as operations."""
    return [Logged(seq, ShareOperation.model_validate_json(text)) for seq, text in rows]


def node_of_row(row: tuple[Any, ...]) -> Node:
    """Return a row as a node."""
    return Node(row[0], row[1], row[2], row[3], bool(row[4]), row[5])


def outermost_first(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield directories before what is in them."""
    yield from sorted(nodes, key=lambda node: node.path.count("/"))
