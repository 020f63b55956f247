"""What a replica keeps of its log on its own disk: the tree at its head, and every operation by path.

It is a copy that may be lost: then the log is read again from its start. It may lag behind the log
after a power cut, never disagree with it: what an operation did and that it was applied are written
in one transaction. Functions block for some 50 µs; those that read much belong in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from quantum.bus.subjects import ShareOperation
from services.sync.rules.operations import paths_of
from services.sync.rules.tree import Effect, Node, ShareTree
from services.sync.share.reading import Logged, Reader, logged_of, node_of_row, outermost_first

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node (path TEXT PRIMARY KEY, size INTEGER, hash TEXT, modified TEXT,
  is_directory INTEGER, version INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched (path TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS op (seq INTEGER PRIMARY KEY, op_id TEXT, entry TEXT);
CREATE TABLE IF NOT EXISTS place (path TEXT, seq INTEGER, PRIMARY KEY (path, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS base (path TEXT PRIMARY KEY, size INTEGER, hash TEXT, modified TEXT,
  is_directory INTEGER, version INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS op_by_id ON op (op_id);
"""
FORMAT = "1"


class Index(Reader):
    """The tables. One writer; readers see what was committed."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = file
        try:
            self._write = self._open()
        except sqlite3.OperationalError:
            raise  # a full disk, not a broken file
        except sqlite3.DatabaseError:
            for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
                path.unlink(missing_ok=True)
            self._write = self._open()
        super().__init__(sqlite3.connect(file, check_same_thread=False, isolation_level=None))
        self._newest = sqlite3.connect(file, check_same_thread=False)
        """For the event loop, which waits for no thread."""
        self._first = self._stored_first()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        return database

    @property
    def log_id(self) -> str:
        """The identity of the log this is a copy of, "" when there is none."""
        return self._meta("log") if self._meta("format") == FORMAT else ""

    @property
    def is_unseen(self) -> bool:
        """Whether all that is in the directory is to be taken for new, though the log has its old name."""
        return self._meta("unseen") == "1"

    def note_seen(self) -> None:
        """Note that this was done. Blocks."""
        if self.is_unseen:
            self._set("unseen", "")
            self.commit()

    def _meta(self, key: str) -> str:
        row = self._write.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def load(self, tree: ShareTree) -> None:
        """Fill an empty tree."""
        rows = self._write.execute("SELECT * FROM node ORDER BY path")
        nodes = map(node_of_row, rows)
        touched = dict(self._write.execute("SELECT path, seq FROM touched"))
        tree.load(outermost_first(nodes), touched, int(self._meta("head") or 0))

    def reset(self, log_id: str, *, is_unseen: bool = False) -> None:
        """Begin anew, as a copy of another log; see ``is_unseen``."""
        for table in ("meta", "node", "touched", "op", "place", "base"):
            self._write.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
        self._set("log", log_id)
        self._set("format", FORMAT)
        if is_unseen:
            self._set("unseen", "1")
        self.commit()
        self._first = 1

    def record_all(self, done: Iterable[tuple[int, ShareOperation, Effect]]) -> None:
        """Note operations and what they did, to last: all or, when the disk is full, none (sqlite3.Error)."""
        try:
            self._record(list(done))
            self.commit()
        except BaseException:
            if self._write.in_transaction:
                self._write.execute("ROLLBACK")
            self._write.execute("BEGIN")
            raise

    def _record(self, done: list[tuple[int, ShareOperation, Effect]]) -> None:
        """Write what many operations came to: of each path the last."""
        write = self._write
        nodes: dict[str, Node | None] = {}
        touched: dict[str, int | None] = {}
        for _, _, effect in done:
            nodes.update(dict.fromkeys(effect.removed))
            touched.update(dict.fromkeys(effect.removed))
            nodes.update((node.path, node) for node in effect.put)
            touched.update(effect.touched)
        rows = [(seq, entry.op_id, entry.model_dump_json()) for seq, entry, _ in done]
        write.executemany("REPLACE INTO op VALUES (?, ?, ?)", rows)
        places = [(path, seq) for seq, entry, _ in done for path in set(paths_of(entry.operation))]
        write.executemany("REPLACE INTO place VALUES (?, ?)", places)
        gone = [(path,) for path, node in nodes.items() if node is None]
        write.executemany("DELETE FROM node WHERE path = ?", gone)
        put = [_row(node) for node in nodes.values() if node is not None]
        write.executemany("REPLACE INTO node VALUES (?, ?, ?, ?, ?, ?)", put)
        gone = [(path,) for path, seq in touched.items() if seq is None]
        write.executemany("DELETE FROM touched WHERE path = ?", gone)
        last = [(path, seq) for path, seq in touched.items() if seq is not None]
        write.executemany("REPLACE INTO touched VALUES (?, ?)", last)
        if done:
            self._set("head", str(done[-1][0]))

    def trim(self, base: ShareTree) -> None:
        """Drop the operations up to ``base.head``: the tree they made takes their place. Blocks."""
        write = self._write
        write.execute("DELETE FROM op WHERE seq <= ?", (base.head,))
        write.execute("DELETE FROM place WHERE seq <= ?", (base.head,))
        write.execute("DELETE FROM base")
        rows = map(_row, base.nodes.values())
        write.executemany("REPLACE INTO base VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._set("base", str(base.head))
        self.commit()
        self._first = base.head + 1

    def begin_at(self, base: ShareTree) -> None:
        """Take over a tree as the state from which the log goes on. Blocks."""
        self._write.execute("DELETE FROM node")
        self._write.execute("DELETE FROM touched")
        rows = map(_row, base.nodes.values())
        self._write.executemany("REPLACE INTO node VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._set("head", str(base.head))
        self.trim(base)

    def _set(self, key: str, value: str) -> None:
        self._write.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

    def commit(self) -> None:
        """Make what was recorded last."""
        self._write.execute("COMMIT")
        self._write.execute("BEGIN")

    def close(self) -> None:
        """Commit and close."""
        self._write.execute("COMMIT")
        self._write.close()
        self._read.close()
        self._newest.close()

    # Reading what was committed.

    def first(self) -> int:
        """Return the oldest sequence that is here, or would be."""
        return self._first

    def _stored_first(self) -> int:
        return int(self._meta("base") or 0) + 1

    @contextmanager
    def moment(self) -> Iterator[Reader]:
        """Read several things as of one moment, whatever is trimmed meanwhile. Blocks; for one thread."""
        with closing(sqlite3.connect(self._file, isolation_level=None)) as database:
            database.execute("BEGIN")
            yield Reader(database)

    def by_ids(self, op_ids: Sequence[str]) -> list[Logged]:
        """Return the operations with these ids, the newest included. In the event loop only."""
        if not op_ids:
            return []
        marks = ",".join("?" * len(op_ids))
        query = f"SELECT seq, entry FROM op WHERE op_id IN ({marks})"  # noqa: S608 - marks alone
        return logged_of(self._newest.execute(query, op_ids).fetchall())


def _row(node: Node) -> tuple[object, ...]:
    return (node.path, node.size, node.hash, node.modified, node.is_directory, node.version)
