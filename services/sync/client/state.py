"""What the client remembers: the tree that was synced last, the server's tree and where in its log that is.

SQLite in the folder's own ``.quantum``: it moves with the folder, and an empty mount point has none.
Every write of a round is one transaction, committed after the disk is durable; so a crash leaves the
record older than the disk, never newer, and an older record costs a comparison, not a file. What
changes with each step is written with the commit: many rows cost less together. The
queue of changes that wait for the server is no table: it is what differs from the synced tree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from services.sync.client.planning.model import Node
from services.sync.content.manifest import Manifest

SCHEMA_VERSION = 2
"""Written into the database; an older one is brought up to it, a newer one is refused."""

LARGEST_JOURNAL = 10_000
"""Events that ``why`` can tell of; older ones are dropped."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS synced (path TEXT PRIMARY KEY, is_directory INTEGER NOT NULL,
    hash TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS remote (path TEXT PRIMARY KEY, is_directory INTEGER NOT NULL,
    hash TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, modified INTEGER NOT NULL,
    changed INTEGER NOT NULL, size INTEGER NOT NULL, inode INTEGER NOT NULL,
    hash TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lists (hash TEXT PRIMARY KEY, chunks BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, path TEXT NOT NULL,
    what TEXT NOT NULL, rule TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_path ON events (path);
"""


class Event(NamedTuple):
    """Something that was done, and why."""

    at: str
    path: str
    what: str
    rule: str


class StateBroken(Exception):
    """The database cannot be used; the text says what to do."""


class State:
    """The remembered trees, in memory and on the disk. One user at a time; not thread-safe."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """``connection`` MUST be in autocommit mode: transactions are begun here."""
        self._connection = connection
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise StateBroken(f"made by a newer version of this program ({found}); remove it")
        if found < SCHEMA_VERSION:  # every version so far only added tables
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._is_open = False
        self._facts: dict[str, str] = dict(connection.execute("SELECT name, value FROM facts"))
        self._changed: set[str] = set()
        self._moved: dict[str, set[str]] = {"synced": set(), "remote": set()}
        """Paths whose rows are to be written with the commit, by table."""
        self._noted: list[Event] = []
        self.synced = self._read_tree("synced")
        self.remote = self._read_tree("remote")

    @classmethod
    def open(cls, path: str) -> State:
        """Open or make the database. Raises StateBroken."""
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # NORMAL: a power cut may take the last commits, and never more. See above why that is safe.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            return cls(connection)
        except sqlite3.DatabaseError as error:
            problem = f"{path}: {error}; remove it to compare everything anew (nothing is deleted)"
            raise StateBroken(problem) from error

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._connection.close()

    def fact(self, name: str) -> str:
        """Return a remembered value, "" when there is none."""
        return self._facts.get(name, "")

    def set_fact(self, name: str, value: str) -> None:
        """Remember a value. It is written with the commit: some change with every operation."""
        self._begin()
        self._facts[name] = value
        self._changed.add(name)

    def set_synced(self, path: str, node: Node | None) -> None:
        """Record that both sides have ``node`` at ``path``."""
        if self.synced.get(path) != node:
            self._set("synced", self.synced, path, node)

    def set_remote(self, path: str, node: Node | None) -> None:
        """Record that the server has ``node`` at ``path``."""
        if self.remote.get(path) != node:
            self._set("remote", self.remote, path, node)

    def replace_remote(self, tree: dict[str, Node]) -> None:
        """Record a whole listing of the server."""
        for path in [p for p in self.remote if p not in tree]:
            self.set_remote(path, None)
        for path, node in tree.items():
            self.set_remote(path, node)

    def hashes(self) -> dict[str, tuple[tuple[int, int, int, int], str]]:
        """Return the cache of hashes by identity."""
        rows = self._connection.execute("SELECT * FROM hashes")
        return {path: ((m, c, s, i), digest) for path, m, c, s, i, digest in rows}

    def save_hashes(
        self, hashes: dict[str, tuple[tuple[int, int, int, int], str]], known: Iterable[str]
    ) -> None:
        """Keep the hashes of the paths that are still there."""
        self._begin()
        self._connection.execute("DELETE FROM hashes")
        rows = ((p, *hashes[p][0], hashes[p][1]) for p in known if p in hashes)
        self._connection.executemany("INSERT OR REPLACE INTO hashes VALUES (?,?,?,?,?,?)", rows)

    def list_of(self, hash: str) -> Manifest | None:
        """Return the chunks of a content that was cut, None when it was not."""
        row = self._connection.execute(
            "SELECT chunks FROM lists WHERE hash = ?", (hash,)
        ).fetchone()
        return Manifest.decode(hash, row[0]) if row else None

    def keep_list(self, manifest: Manifest) -> None:
        """Remember the chunks of a content."""
        values = (manifest.hash, manifest.encode())
        self._write("INSERT OR REPLACE INTO lists VALUES (?, ?)", values)

    def drop_lists(self) -> None:
        """Forget the chunks of contents that neither side has."""
        self._flush()
        statement = (
            "DELETE FROM lists WHERE hash NOT IN (SELECT hash FROM synced)"
            " AND hash NOT IN (SELECT hash FROM remote)"
        )
        self._write(statement, ())

    def note(self, event: Event) -> None:
        """Add to the journal."""
        self._begin()
        self._noted.append(event)

    def events(self, path: str = "", limit: int = 100) -> list[Event]:
        """Return what was done, newest first: all of it, or at a path."""
        self._flush()
        where, values = ("WHERE path = ?", [path]) if path else ("", [])
        query = f"SELECT at, path, what, rule FROM events {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constants
        return [Event(*row) for row in self._connection.execute(query, [*values, limit])]

    def conflicts(self) -> list[Event]:
        """Return the conflict copies that were made, newest first."""
        self._flush()
        query = (
            "SELECT at, path, what, rule FROM events WHERE what LIKE 'keep both%' ORDER BY id DESC"
        )
        return [Event(*row) for row in self._connection.execute(query)]

    def commit(self) -> None:
        """End the round's transaction."""
        if not self._is_open:
            return
        self._flush()
        self._connection.execute(
            "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (LARGEST_JOURNAL,)
        )
        facts = [(name, self._facts[name]) for name in self._changed]
        self._connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts)
        self._connection.execute("COMMIT")
        self._changed.clear()
        self._is_open = False

    def _set(self, table: str, tree: dict[str, Node], path: str, node: Node | None) -> None:
        self._begin()
        self._moved[table].add(path)
        if node is None:
            tree.pop(path, None)
        else:
            tree[path] = node

    def _flush(self) -> None:
        """Write rows and events that wait; they wait on when that fails."""
        execute = self._connection.executemany
        for table, tree in (("synced", self.synced), ("remote", self.remote)):
            moved = self._moved[table]
            gone = [(path,) for path in moved if path not in tree]
            execute(f"DELETE FROM {table} WHERE path = ?", gone)  # noqa: S608 - two constants
            rows = [(path, *tree[path]) for path in sorted(moved) if path in tree]
            execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", rows)  # noqa: S608
            moved.clear()
        query = "INSERT INTO events (at, path, what, rule) VALUES (?, ?, ?, ?)"
        execute(query, self._noted)
        self._noted.clear()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        self._begin()
        self._connection.execute(statement, values)

    def _begin(self) -> None:
        if not self._is_open:
            self._connection.execute("BEGIN")
            self._is_open = True

    def _read_tree(self, table: str) -> dict[str, Node]:
        rows = self._connection.execute(f"SELECT path, is_directory, hash, size FROM {table}")  # noqa: S608
        return {path: Node(bool(d), digest, size) for path, d, digest, size in rows}
