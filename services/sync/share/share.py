"""One synced folder in one process: whatever changes it becomes one operation, heard by everyone once.

Changes come from requests, from other programs through the disk, and from other processes through
the log. The order is always the same: content durable, intent written down, name given, subscribers
told, log appended. So what is announced can be fetched, and what was answered is not lost.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from quantum.bus.api import Bus
from quantum.bus.subjects import ShareOperation
from quantum.clock import Clock
from quantum.tasks import TaskSet
from services.sync.protocol import SERVER
from services.sync.share.folder import Folder, InTheWay, NotThere
from services.sync.share.incoming import Received
from services.sync.share.journal import Journal, RecentIds
from services.sync.share.operations import (
    Operation,
    created,
    deleted,
    holds,
    moved,
    paths_of,
    updated,
)
from services.sync.share.tree import Metadata, Tree
from services.sync.share.watcher import Watcher

Listener = Callable[[Operation, str], None]
"""Hears of an operation (the specification's SyncOperation) and the client it came from."""

Condition = Callable[[Metadata | None], None]
"""Checks, at the moment of the change, what is there now; raises to refuse."""


SETTLING_SECONDS = 1.0
"""After the start everything is compared once more: what changed between reading the folder and the
moment the system began to report changes (some 50 ms) is seen then."""


class Share:
    """A folder, its index, its log and its listeners."""

    def __init__(self, root: str, name: str, bus: Bus, clock: Clock, data_dir: Path) -> None:
        self.root = root
        self.folder = Folder(root)
        self.tree = Tree(self.folder)
        self._clock = clock
        self._log = structlog.get_logger("quantum.sync").bind(share=name)
        self._journal = Journal(bus, name, data_dir / name / "spool.jsonl", clock)
        self._own = RecentIds()
        self._listeners: list[Listener] = []
        self._lock = asyncio.Lock()
        self._tasks = TaskSet(f"share:{name}")
        self._ready = asyncio.Event()
        self.is_writable = False
        """Whether the folder can take contents; False on a file system that is mounted read only."""

    def start(self) -> None:
        """Begin: watch the disk, index it, follow the log. Errors are logged and tried again."""
        self.is_writable = self.folder.open_store()
        self._tasks.start(self._run(), "run")

    @property
    def is_ready(self) -> bool:
        """Whether the index is there; changes wait for it."""
        return self._ready.is_set()

    async def aclose(self) -> None:
        """Stop everything; what is not on the bus yet stays in the spool."""
        await self._tasks.aclose()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` for every operation from now on."""
        self._listeners.append(listener)

    def status(self) -> dict[str, Any]:
        """Return facts for people: sizes and backlogs."""
        return {
            "indexed": len(self.tree.announced),
            "backlog": self._journal.backlog,
            "writable": self.is_writable,
        }

    # What requests ask for.

    async def write(
        self, path: str, received: Received, condition: Condition, source: str
    ) -> tuple[Metadata, bool]:
        """Give a received content its name; returns its metadata and whether the path was free.

        Raises what ``condition`` raises, or InTheWay. The temporary file is used up when it returns.
        """
        async with self._lock:
            current = await asyncio.to_thread(self.tree.describe, path)
            condition(current)
            metadata = Metadata(
                path,
                received.size,
                received.hash,
                received.modified_ns,
                is_directory=False,
                inode=received.inode,
            )
            if metadata.is_same_version(current):
                await asyncio.to_thread(self.folder.drop_temporary, received.temporary)
                assert current is not None
                return current, False
            await self._make_parents(path, source)
            if current is None:
                await self._refuse_clash(path)
            elif current.is_directory:
                raise InTheWay(f"{path} is a directory")
            await self._carry_out(
                created(metadata) if current is None else updated(metadata),
                source,
                lambda: self.folder.place(received.temporary, path),
                lambda: self.tree.learn(metadata),
            )
            return metadata, current is None

    async def remove(self, path: str, condition: Condition, source: str) -> None:
        """Remove a file or an empty directory. Raises NotThere, InTheWay or what ``condition`` raises."""
        async with self._lock:
            current = await asyncio.to_thread(self.tree.describe, path)
            if current is None:
                raise NotThere(path)
            condition(current)
            await self._carry_out(
                deleted(path),
                source,
                lambda: self.folder.remove(path),
                lambda: self.tree.forget(path),
            )

    async def move(self, source_path: str, to: str, condition: Condition, source: str) -> Metadata:
        """Rename a file or a directory with all below it. The target must be free."""
        async with self._lock:
            current = await asyncio.to_thread(self.tree.describe, source_path)
            if current is None:
                raise NotThere(source_path)
            condition(current)
            if await asyncio.to_thread(self.folder.stat, to) is not None:
                raise InTheWay(f"{to} exists")
            if to.startswith(source_path + "/"):
                raise InTheWay("a directory cannot be moved into itself")
            await self._make_parents(to, source)
            await self._refuse_clash(to, except_for=source_path)
            metadata = Metadata(
                to,
                current.size,
                current.hash,
                current.modified_ns,
                current.is_directory,
                current.inode,
            )
            await self._carry_out(
                moved(source_path, metadata),
                source,
                lambda: self.folder.move(source_path, to),
                lambda: self._rename_known(source_path, metadata),
            )
            return metadata

    async def make_directory(self, path: str, source: str) -> tuple[Metadata, bool]:
        """Make a directory and those above it; returns its metadata and whether it was missing."""
        async with self._lock:
            current = await asyncio.to_thread(self.tree.describe, path)
            if current is not None and not current.is_directory:
                raise InTheWay(f"{path} is a file")
            if current is None:
                await self._refuse_clash(path)
                await self._make_directories(path, source)
            metadata = await asyncio.to_thread(self.tree.describe, path)
            if metadata is None:
                raise NotThere(path)
            return metadata, current is None

    # How a change is made.

    async def _carry_out(
        self,
        operation: Operation,
        source: str,
        change: Callable[[], object],
        learn: Callable[[], object],
    ) -> None:
        """Write the intent down, change the disk in a thread, tell everyone. Holds the lock.

        A caller that is cancelled while the disk changes is still cancelled, but afterwards.
        """
        entries = [self._entry(operation, source)]
        await self._journal.intend(entries)
        cancelled: asyncio.CancelledError | None = None
        changing = asyncio.get_running_loop().run_in_executor(None, change)
        try:
            try:
                await asyncio.shield(changing)
            except asyncio.CancelledError as error:
                cancelled = error
                await asyncio.wait([changing])
                changing.result()
        except BaseException:
            self._journal.cancel()
            raise
        learn()
        self._journal.confirm(entries)
        self._announce(entries)
        if cancelled is not None:
            raise cancelled

    async def _make_parents(self, path: str, source: str) -> None:
        above = path.rpartition("/")[0]
        if above and await asyncio.to_thread(self.folder.stat, above) is None:
            await self._refuse_clash(above)
            await self._make_directories(above, source)

    async def _make_directories(self, path: str, source: str) -> None:
        try:
            made = await asyncio.to_thread(self.folder.make_directories, path)
        except NotThere:
            raise InTheWay(f"a part of {path} is a file") from None
        found = [await asyncio.to_thread(self.tree.describe, below) for below in made]
        await self._report([(m.path, m) for m in found if m is not None], source)

    async def _refuse_clash(self, path: str, except_for: str = "") -> None:
        """Refuse a name that differs from a sibling's by case alone, at any level."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            part = "/".join(parts[:count])
            other = await asyncio.to_thread(self.folder.clashing_name, part)
            if other is not None and other != except_for.rpartition("/")[2]:
                raise InTheWay(f"{part} differs from {other} by case alone")

    def _rename_known(self, source: str, metadata: Metadata) -> None:
        for path in list(self.tree.below(source)):
            below = self.tree.announced[path]
            self.tree.forget(path)
            self.tree.learn(replace(below, path=metadata.path + path[len(source) :]))
        self.tree.forget(source)
        self.tree.learn(metadata)

    # What the disk and the log tell.

    async def _run(self) -> None:
        watcher = Watcher(self.root, self._clock, self.look)
        async with self._lock:  # changes that are seen meanwhile wait until the index is there
            self._tasks.start(watcher.run(), "watch")
            await asyncio.to_thread(self.tree.index)
            await asyncio.to_thread(self._journal.recover, self._happened)
        self._journal.start(self._tasks, self._hear)
        self._ready.set()
        await self._clock.sleep(SETTLING_SECONDS)
        await self.look({""})

    async def look(self, paths: set[str]) -> None:
        """Find out what changed at ``paths`` (and below), and report what nobody was told yet."""
        async with self._lock:
            if self.is_writable and not self.folder.has_store:
                self._log.error("share_root_lost", root=self.root, remedy="mount it again")
                return  # an empty mount point is not a thousand deletions
            changes = await asyncio.to_thread(self.tree.compare, paths)
            await self._report(changes, SERVER)

    async def _report(self, changes: list[tuple[str, Metadata | None]], source: str) -> None:
        """Announce changes that are on the disk already. Holds the lock."""
        known = self.tree.announced
        operations = [
            deleted(path) if now is None else updated(now) if path in known else created(now)
            for path, now in changes
        ]
        if not operations:
            return
        entries = [self._entry(operation, source) for operation in operations]
        await self._journal.intend(entries)
        for path, now in changes:
            if now is None:
                self.tree.forget(path)
            else:
                self.tree.learn(now)
        self._journal.confirm(entries)
        self._announce(entries)

    def _hear(self, entry: ShareOperation) -> None:
        if entry.op_id not in self._own:
            self._tasks.start(self._take_over(entry), "hear")

    async def _take_over(self, entry: ShareOperation) -> None:
        """Pass on what another process did, unless it is known by now, or not true any more.

        Processes share the files, so this one's watcher may have been faster, and the file may have
        changed again since: then the next operation says so.
        """
        async with self._lock:
            if holds(entry.operation, self.tree.announced.get):
                return
            if not await asyncio.to_thread(holds, entry.operation, self.tree.describe):
                return
            for path in paths_of(entry.operation):
                now = await asyncio.to_thread(self.tree.describe, path)
                if now is None:
                    self.tree.forget(path)
                else:
                    self.tree.learn(now)
            self._tell(entry)

    def _happened(self, entry: ShareOperation) -> bool:
        """Whether an operation that an earlier process wrote down was carried out. Blocks."""
        return holds(entry.operation, self.tree.describe)

    # Telling.

    def _entry(self, operation: Operation, source: str) -> ShareOperation:
        op_id = secrets.token_hex(12)
        return ShareOperation(
            operation=operation, source_client=source, op_id=op_id, at=self._clock.now()
        )

    def _announce(self, entries: list[ShareOperation]) -> None:
        for entry in entries:
            self._own.add(entry.op_id)
            self._tell(entry)

    def _tell(self, entry: ShareOperation) -> None:
        for listener in self._listeners:
            listener(entry.operation, entry.source_client)
