"""One share in one process: a replica of its log, and the way into that log.

A change is decided against the tree at the head of the log, appended right behind that head, and then
carried out here; if somebody else was faster the append fails, the replica catches up, and the change
is decided again. So writers are in one order however many processes there are, what is announced is
in the log, and its content was stored before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from quantum.bus.api import Bus, Conflict, Entry
from quantum.bus.subjects import ShareOperation
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet
from services.sync.content.contents import Contents
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import Folder, InTheWay
from services.sync.protocol import SERVER
from services.sync.rules.changes import Author
from services.sync.rules.tree import Effect, ShareTree
from services.sync.share.caretaker import Caretaker
from services.sync.share.committing import Batch, Committed, Decide, Wish
from services.sync.share.index import Index
from services.sync.share.keeper import Keeper
from services.sync.share.log import ShareLog
from services.sync.share.retention import Retention

Listener = Callable[[int, ShareOperation], None]
"""Hears of each operation, in order, with its sequence."""

CATCH_UP_BATCH = 500
"""Operations applied between two commits of the index while catching up."""

CATCH_UP_SECONDS = 5.0
"""How long a writer waits to learn what was appended by somebody faster: then the log is in trouble."""


@dataclass(frozen=True, slots=True)
class _Applied:
    """One operation that the tree has, on its way to index, directory and listeners."""

    seq: int
    entry: ShareOperation
    effect: Effect
    manifest: Manifest | None
    temporary: str | None


class Share:
    """A replica of one log, and the plain directory if this process keeps it."""

    def __init__(
        self,
        root: str,
        name: str,
        bus: Bus,
        clock: Clock,
        data_dir: Path,
        contents: Contents,
        quiet: Callable[[str], float] = lambda path: 0.0,
        history: tuple[float, int] = (0.0, 0),
    ) -> None:
        self.root = root
        self.name = name
        self.folder = Folder(root)
        self.tree = ShareTree()
        self.index = Index(data_dir / name / "index.db")
        self.contents = contents
        self.log_id = ""
        self.is_writable = False
        """Whether the folder can take contents; False on a file system that is mounted read only."""
        self.lock = asyncio.Lock()
        self.keeper = Keeper(self.folder, contents, lambda: self.tree, self._author, quiet)
        self._caretaker = Caretaker(self, self.keeper, clock)
        self.look = self._caretaker.look
        self._clock = clock
        self._log = structlog.get_logger("quantum.sync").bind(share=name)
        self._stream = ShareLog(bus, name, clock)
        self.retention = Retention(bus, name, clock, *history)
        self._listeners: list[Listener] = []
        self._waiting: deque[Wish] = deque()
        self._committer: asyncio.Task[None] | None = None
        self._tasks = TaskSet(f"share:{name}")
        self._ready = asyncio.Event()
        self._advanced = asyncio.Event()
        self._is_caught_up = False
        self._uncommitted = 0

    def start(self) -> None:
        """Begin: read the log, keep the directory. Errors are logged and tried again."""
        self.is_writable = self.folder.open_store()
        self._tasks.start(self._run(), "run")

    @property
    def is_ready(self) -> bool:
        """Whether the tree is that of the log; requests wait for it."""
        return self._ready.is_set()

    async def wait_ready(self, seconds: float) -> bool:
        """Wait up to ``seconds`` to become ready; whether it is."""
        if not self._ready.is_set():
            await asyncio.wait([self._tasks.start(self._ready.wait(), "wait")], timeout=seconds)
        return self._ready.is_set()

    async def look_at(self, path: str) -> None:
        """Adopt a change of this path on the disk that nobody has reported yet, if there is one."""
        if self.keeper.is_keeping:
            keeper = self.keeper
            if not await asyncio.to_thread(keeper.survey.is_current, path):
                await self.look({path})

    async def make_way(self, path: str) -> None:
        """Do the same for a path that is about to be written; InTheWay for what cannot be overwritten."""
        await self.look_at(path)
        if self.keeper.is_keeping:
            obstacle = await asyncio.to_thread(self.folder.obstacle, path)
            if obstacle is not None:
                raise InTheWay(f"{obstacle} is no file of the share")

    async def aclose(self) -> None:
        """Stop everything; what was committed is in the log."""
        await self._caretaker.aclose()
        await self._tasks.aclose()
        async with self.lock:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.index.close()
        self.keeper.close()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` for every operation from now on."""
        self._listeners.append(listener)

    def status(self) -> dict[str, Any]:
        """Return facts for people."""
        return {
            "log": self.log_id,
            "head": self.tree.head,
            "indexed": len(self.tree),
            "backlog": len(self.keeper.pending),
            "writable": self.is_writable,
            "keeps_directory": self.keeper.is_keeping,
            "bytes_saved": self.contents.directory.saved,
        }

    async def trim(self) -> None:
        """Drop what history need not keep; this happens from time to time by itself."""
        await self.retention.trim(self, self._stream)

    def now(self) -> datetime:
        """Return the time that new operations carry."""
        return self._clock.now()

    def _author(self, client: str = SERVER) -> Author:
        return Author(client, self._clock.now())

    # The way into the log.

    async def commit(
        self,
        decide: Decide,
        source: str,
        *,
        op_id: str = "",
        temporary: str | None = None,
        before_apply: Callable[[], None] | None = None,
    ) -> Committed:
        """Append what ``decide`` plans for the tree at the head, and carry it out.

        ``temporary`` is the content of the last step; it is used up, whatever happens. ``op_id`` names
        the last step: one that is in the log already is not done again. Raises what ``decide`` raises,
        or BusUnavailable: then it may or may not have been done. A caller that is cancelled does not
        stop a commit that has begun.
        """
        outcome: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiting.append(Wish(decide, source, op_id, temporary, before_apply, outcome))
        if self._committer is None or self._committer.done():
            self._committer = self._tasks.start(self._commit_waiting(), "commit")
        outcome.add_done_callback(_look_at)
        return await asyncio.shield(outcome)

    async def _commit_waiting(self) -> None:
        """Commit until nothing waits."""
        try:
            while self._waiting:
                async with self.lock:
                    batch = Batch(self.tree, self._done_before)
                    batch.fill(self._waiting, self._clock.now())
                    at = self.tree.head
                    is_done = await self._commit_batch(batch, at)
                if not is_done:
                    await self._catch_up(at)
        except BaseException as error:
            for wish in self._waiting:
                wish.fail(BusUnavailable(str(error) or type(error).__name__))
            self._waiting.clear()
            raise

    async def _commit_batch(self, batch: Batch, at: int) -> bool:
        """Append and apply; False when the log has gone on and everything is to be decided again."""
        unused = [wish.temporary for wish in batch.ended if wish.temporary is not None]
        if unused:
            await asyncio.to_thread(self._drop, unused)
        if not batch.wishes:
            return True
        try:
            if not self._is_caught_up:
                raise BusUnavailable("the log was not read yet")
            await self._stream.append(batch.entries, at)
        except Conflict:
            self._waiting.extendleft(reversed(batch.wishes))
            return False
        except BusUnavailable as error:
            for wish in batch.wishes:
                wish.fail(error)
            await asyncio.to_thread(self._drop, [w.temporary for w in batch.wishes if w.temporary])
            return True
        await self._carry_out(batch, at)
        return True

    async def _carry_out(self, batch: Batch, at: int) -> None:
        entries: list[tuple[ShareOperation, str | None]] = []
        for wish in batch.wishes:
            if wish.before_apply is not None:
                wish.before_apply()
            entries += [(entry, None) for entry in wish.entries[:-1]]
            entries.append((wish.entries[-1], wish.temporary))
        await self._apply(at, entries)
        for wish in batch.wishes:
            at += len(wish.entries)
            wish.settle(Committed(wish.path, at, tuple(wish.entries)))

    async def _catch_up(self, at: int) -> None:
        try:
            await self._wait_past(at)
        except BusUnavailable as error:
            waiting = list(self._waiting)
            self._waiting.clear()
            for wish in waiting:
                wish.fail(error)
            await asyncio.to_thread(self._drop, [w.temporary for w in waiting if w.temporary])

    def _drop(self, temporaries: list[str]) -> None:
        for temporary in temporaries:
            self.folder.drop_temporary(temporary)

    def _done_before(self, op_id: str) -> Committed | None:
        logged = self.index.by_id(op_id)
        if logged is None:
            return None
        ((kind, body),) = logged.entry.operation.items()
        path = body["path"] if kind == "Delete" else body["metadata"]["path"]
        return Committed(path, logged.seq, (logged.entry,))

    async def _wait_past(self, at: int) -> None:
        """Wait until the tree is further than ``at``; BusUnavailable when that takes too long."""
        deadline = self._clock.monotonic() + CATCH_UP_SECONDS
        while self.tree.head <= at:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise BusUnavailable("the log goes on and cannot be read")
            self._advanced.clear()
            waiting = self._tasks.start(self._advanced.wait(), "advance")
            await asyncio.wait([waiting], timeout=min(left, 1.0))
            waiting.cancel()

    # The way out of it.

    async def _apply(self, at: int, entries: list[tuple[ShareOperation, str | None]]) -> None:
        """Apply what is in the log behind ``at``: tree, index, directory, listeners. Holds the lock."""
        applied: list[_Applied] = []
        for seq, (entry, temporary) in enumerate(entries, at + 1):
            effect = self.tree.apply(seq, entry.operation)
            manifest = None if temporary is not None else await self._bring(seq, effect)
            applied.append(_Applied(seq, entry, effect, manifest, temporary))
        await asyncio.to_thread(self._settle, applied)
        self._advanced.set()
        for each in applied:
            for listener in self._listeners:
                listener(each.seq, each.entry)

    async def _bring(self, seq: int, effect: Effect) -> Manifest | None:
        """Bring a content that came from elsewhere here, if the directory wants it."""
        if not self.keeper.wants_content(effect):
            return None
        try:
            return await self.keeper.manifest_for(effect)
        except BusUnavailable as error:  # the content comes later: `repair` tries again
            self._log.warning("share_content_unreachable", seq=seq, reason=str(error))
            return None

    def _settle(self, applied: list[_Applied]) -> None:
        for each in applied:
            self.index.record(each.seq, each.entry, each.effect)
            if self.keeper.is_keeping:
                operation, temporary = each.entry.operation, each.temporary
                self.keeper.carry_out(operation, each.effect, each.manifest, temporary)
            elif each.temporary is not None:
                self.folder.drop_temporary(each.temporary)
        self.index.commit()
        self.keeper.plain.sync()

    async def _hear(self, heard: Entry[ShareOperation]) -> None:
        if heard.value is None or heard.revision <= self.tree.head:
            return
        async with self.lock:
            if heard.revision <= self.tree.head:
                return
            if self._is_caught_up:
                await self._apply(heard.revision - 1, [(heard.value, None)])
                return
            effect = self.tree.apply(heard.revision, heard.value.operation)
            self.index.record(heard.revision, heard.value, effect)
            self._uncommitted += 1
            if self._uncommitted >= CATCH_UP_BATCH:
                await asyncio.to_thread(self.index.commit)
                self._uncommitted = 0
            self._advanced.set()

    # Its life.

    async def _run(self) -> None:
        await asyncio.to_thread(self.index.load, self.tree)
        self.log_id = self.index.log_id
        try:
            identity, first, last = await self._stream.state()
        except BusUnavailable:
            if self.log_id:
                self._ready.set()  # what was true last can be read without the bus
            identity, first, last = await self._stream.wait_state()
        if identity != self.log_id:
            self._ready.clear()
            self.tree = ShareTree()
            await asyncio.to_thread(self.index.reset, identity)
            self.log_id = identity
        if first > self.tree.head + 1:
            self._ready.clear()
            self.tree = await self.retention.load(first - 1)
            await asyncio.to_thread(self.index.begin_at, self.tree)
        self._tasks.start(self._stream.follow(lambda: self.tree.head, self._hear), "follow")
        while self.tree.head < last:
            self._advanced.clear()
            await self._advanced.wait()
        async with self.lock:
            await asyncio.to_thread(self.index.commit)
            self._is_caught_up = True
        self._tasks.start(self.retention.run(self, self._stream), "retention")
        await self._caretaker.run(self._ready.set)


def _look_at(outcome: asyncio.Future[Committed]) -> None:
    """Take the outcome of a commit whose caller may have gone: a refusal is no failure of the share."""
    if not outcome.cancelled():
        outcome.exception()
