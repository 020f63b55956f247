"""What the plain directory looked like when this program last wrote or read it, kept across restarts.

A path whose file still has the identity that is noted here needs no reading; one that was noted and is
gone was deleted by somebody; one that was never noted is new. The table lives in the hidden folder,
beside the files it speaks of, and belongs to the one process that holds the folder's lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    """One path: its content, and what changes whenever that does. ``inode`` 0: look again."""

    hash: str
    modified_ns: int
    size: int
    inode: int
    is_directory: bool

    @property
    def identity(self) -> tuple[int, int, int]:
        """What a stat can compare."""
        return (self.modified_ns, self.size, self.inode)


class SeenTable:
    """The table, in memory and on the disk. Changes are on the disk after ``flush``."""

    def __init__(self) -> None:
        self.paths: dict[str, Seen] = {}
        self._inside: dict[str, set[str]] = {}
        """What is directly in a directory, noted or not: what is below one is found without asking all."""
        self._changed: set[str] = set()
        self._database: sqlite3.Connection | None = None

    def open(self, file: str, log: str, *, is_unseen: bool = False) -> None:
        """Read what was noted under that log; else, or if told so, begin anew: all is new then. Blocks.

        What was noted under another log MUST NOT count: its files would look deleted in this one.
        sqlite3.OperationalError when the disk is full: what was noted stays, and is read next time.
        """
        try:
            self._connect(file, log, is_unseen)
        except sqlite3.OperationalError:
            self.give_up()
            raise
        except sqlite3.DatabaseError:
            self.give_up()
            for path in (file, f"{file}-wal", f"{file}-shm"):
                Path(path).unlink(missing_ok=True)
            self._connect(file, log, is_unseen)

    def _connect(self, file: str, log: str, is_unseen: bool) -> None:
        self._database = sqlite3.connect(file, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS seen (path TEXT PRIMARY KEY, hash TEXT, modified_ns INTEGER,"
            " size INTEGER, inode INTEGER, is_directory INTEGER) WITHOUT ROWID"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS of_log (id TEXT)")
        noted = self._database.execute("SELECT id FROM of_log").fetchall()
        if is_unseen or noted != [(log,)]:
            with self._database:
                self._database.execute("DELETE FROM seen")
                self._database.execute("DELETE FROM of_log")
                self._database.execute("INSERT INTO of_log VALUES (?)", (log,))
        rows = self._database.execute("SELECT * FROM seen")
        self.paths = {row[0]: Seen(row[1], row[2], row[3], row[4], bool(row[5])) for row in rows}
        self._inside = {}
        self._changed = set()
        for path in self.paths:
            self._link(path)

    def note(self, path: str, seen: Seen) -> None:
        """Note what is at ``path``."""
        if path not in self.paths:
            self._link(path)
        self.paths[path] = seen
        self._changed.add(path)

    def forget(self, path: str) -> None:
        """Note that nothing is there."""
        if self.paths.pop(path, None) is not None:
            self._changed.add(path)
            self._unlink(path)

    def _link(self, path: str) -> None:
        while path:
            above = path.rpartition("/")[0]
            siblings = self._inside.setdefault(above, set())
            if path in siblings:
                return
            siblings.add(path)
            path = above

    def _unlink(self, path: str) -> None:
        while path and path not in self.paths and path not in self._inside:
            above = path.rpartition("/")[0]
            siblings = self._inside[above]
            siblings.discard(path)
            if siblings:
                return
            del self._inside[above]
            path = above

    def rename(self, source: str, to: str) -> None:
        """Note that ``source`` and all below it is at ``to``."""
        for path in [source, *self.below(source)]:
            seen = self.paths.get(path)
            if seen is not None:
                self.forget(path)
                self.note(to + path[len(source) :], seen)

    def below(self, path: str) -> list[str]:
        """Return the noted paths below a directory ("": all)."""
        found: list[str] = []
        waiting = [path]
        while waiting:
            inside = list(self._inside.get(waiting.pop(), ()))  # a copy: threads
            waiting += inside
            found += [each for each in inside if each in self.paths]
        return found

    def flush(self) -> None:
        """Write what changed. Blocks."""
        if self._database is None or not self._changed:
            return
        changed, self._changed = self._changed, set()
        with self._database:
            self._database.executemany(
                "DELETE FROM seen WHERE path = ?",
                [(path,) for path in changed if path not in self.paths],
            )
            self._database.executemany(
                "REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", self._rows(changed)
            )

    def _rows(self, paths: Iterable[str]) -> list[tuple[object, ...]]:
        return [(path, *self.paths[path]) for path in paths if path in self.paths]

    def give_up(self) -> None:
        """Close without writing. Idempotent."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def close(self) -> None:
        """Write and close. Idempotent; the memory stays."""
        if self._database is not None:
            self.flush()
            self._database.close()
            self._database = None
