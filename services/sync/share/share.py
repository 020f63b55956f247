"""One share in one process: a replica of its log.

What is in the log is carried out here, in its order; what shall get into it goes through ``commit``.
So writers are in one order however many processes there are, what is announced is in the log, and its
content was stored before.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from quantum.bus.api import Bus, Entry, Replaced
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
from services.sync.share.committer import Committer
from services.sync.share.index import Index
from services.sync.share.keeper import Keeper
from services.sync.share.lives import Lives
from services.sync.share.log import ShareLog
from services.sync.share.retention import Retention

Listener = Callable[[int, ShareOperation], None]
"""Hears of each operation, in order, with its sequence."""

CATCH_UP_BATCH = 500
"""Operations applied between two commits of the index while catching up."""

AGAIN_SECONDS = 0.5
"""Between attempts to write to a full disk."""

CATCH_UP_SECONDS = 5.0
"""How long a writer waits to learn what was appended by somebody faster: then the log is in trouble."""

ASKING_SECONDS = 1.0
"""How long a reader waits to learn where the log ends: without the bus, reading goes on."""


@dataclass(frozen=True, slots=True)
class _Applied:
    """One operation that the tree has, on its way to index, directory and listeners."""

    seq: int
    entry: ShareOperation
    effect: Effect
    manifest: Manifest | None
    temporary: str | None


@dataclass(slots=True)
class _Settling:
    """How far operations have come that the tree has: a full disk stops them, and they go on from there."""

    applied: list[_Applied]
    is_recorded: bool = False
    is_carried_out: bool = False


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
        self._lives = Lives(name, clock, self._live, self._end)
        self._caretaker = Caretaker(self, self.keeper, clock, self._lives.fail)
        self.look = self._caretaker.look
        self._clock = clock
        self._log = structlog.get_logger("quantum.sync").bind(share=name)
        self._stream = ShareLog(bus, name, clock)
        self.retention = Retention(bus, name, clock, *history)
        self._listeners: list[Listener] = []
        self._on_break: Callable[[], None] = lambda: None
        self._tasks = TaskSet(f"share:{name}")
        self._committer = Committer(self, self._stream, clock, self._lives.tasks)
        self.commit = self._committer.commit
        self.commit_all = self._committer.commit_all
        self._ready = asyncio.Event()
        self._named = asyncio.Event()
        self._advanced = asyncio.Event()
        self.is_caught_up = False
        self._is_torn = False
        """Whether something was applied in part."""
        self._settled = 0
        """The last operation that is in the index, and so can be read by its sequence."""
        self._unrecorded: list[tuple[int, ShareOperation, Effect]] = []

    def start(self) -> None:
        """Begin: read the log, keep the directory. After errors everything begins anew."""
        self.is_writable = self.folder.open_store()
        self._tasks.start(self._lives.run(), "lives")

    @property
    def is_ready(self) -> bool:
        """Whether the tree is that of the log; requests wait for it."""
        return self._ready.is_set()

    @property
    def takes_changes(self) -> bool:
        """Whether what is decided by the tree may go into the log."""
        return self.is_caught_up and not self._is_torn

    @property
    def restarts(self) -> int:
        """How often everything began anew, after what nobody foresaw or with another log."""
        return self._lives.ended

    @property
    def waiting(self) -> int:
        """How many changes wait for their trip into the log."""
        return len(self._committer)

    async def wait_ready(self, seconds: float) -> bool:
        """Wait up to ``seconds`` to become ready; whether it is."""
        return await self._wait_for(self._ready, seconds)

    async def wait_named(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until it is known which log this is and where it ends here."""
        return await self._wait_for(self._named, seconds)

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> bool:
        if not event.is_set():
            await asyncio.sleep(0)  # a request's first step has no task, a timeout needs one
            await asyncio.wait([self._tasks.start(event.wait(), "wait")], timeout=seconds)
        return event.is_set()

    async def reach(self, seq: int) -> bool:
        """Wait until the tree has that operation; False when the log has no such, or is away.

        Another replica may have told the client of it before it came here.
        """
        if seq <= self._settled:
            return True
        await asyncio.sleep(0)  # a request's first step has no task, and the bus needs one
        try:
            last = (await self._stream.state())[2]
            if seq <= last:
                await self.wait_past(seq - 1, lambda: self._settled)
        except BusUnavailable:
            return False
        return seq <= self._settled

    async def catch_up(self) -> None:
        """Apply what the log has by now; stay with what is here when that cannot be had in time.

        Who knows no sequence (protocol 1) may have heard of a change from another replica.
        """
        await asyncio.sleep(0)  # as in ``reach``
        with suppress(BusUnavailable, TimeoutError):
            async with asyncio.timeout(ASKING_SECONDS):
                last = await self._stream.last()
            if last > self._settled:
                await self.wait_past(last - 1, lambda: self._settled)

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
        await self._tasks.aclose()
        await self._caretaker.aclose()
        await self._lives.tasks.aclose()
        async with self.lock:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.index.close()
        self.keeper.close()

    def listen(self, listener: Listener, on_break: Callable[[], None] = lambda: None) -> None:
        """Call ``listener`` for every operation from now on, in order and without a gap.

        Where the log turns out to be another one than before, or to begin later than what was heard
        last, or where the share begins anew, ``on_break`` is called between the two.
        """
        self._listeners.append(listener)
        self._on_break = on_break

    def status(self) -> dict[str, Any]:
        """Return facts for people."""
        return {
            "log": self.log_id,
            "head": self.tree.head,
            "indexed": len(self.tree),
            "backlog": len(self.keeper.pending),
            "writable": self.is_writable,
            "keeps_directory": self.keeper.is_keeping,
            "restarts": self.restarts,
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

    # The way out of it.

    async def wait_past(self, at: int, place: Callable[[], int]) -> None:
        """Wait until ``place`` is further than ``at``; BusUnavailable when that takes too long."""
        deadline = self._clock.monotonic() + CATCH_UP_SECONDS
        while place() <= at:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise BusUnavailable("the log goes on and cannot be read")
            self._advanced.clear()
            waiting = self._tasks.start(self._advanced.wait(), "advance")
            await asyncio.wait([waiting], timeout=min(left, 1.0))
            waiting.cancel()

    async def apply(self, at: int, entries: list[tuple[ShareOperation, str | None]]) -> None:
        """Apply what is in the log behind ``at``: tree, index, directory, listeners. Holds the lock."""
        applied: list[_Applied] = []
        with self._as_a_whole():
            for seq, (entry, temporary) in enumerate(entries, at + 1):
                effect = self.tree.apply(seq, entry.operation)
                manifest = None if temporary is not None else await self._bring(seq, effect)
                applied.append(_Applied(seq, entry, effect, manifest, temporary))
            settling = _Settling(applied)
            await self._persist(lambda: self._settle(settling))
        self._settled = self.tree.head
        self._advanced.set()
        for each in applied:
            self._announce(each.seq, each.entry)

    @contextmanager
    def _as_a_whole(self) -> Iterator[None]:
        """Apply something; where that fails nothing is applied on top of it until the share begins anew.

        Else the index would have what came after, and the next life would never read what is missing.
        """
        if self._is_torn:
            raise BusUnavailable("the share begins anew")
        self._is_torn = True
        yield
        self._is_torn = False

    async def _bring(self, seq: int, effect: Effect) -> Manifest | None:
        """Bring a content that came from elsewhere here, if the directory wants it."""
        if not self.keeper.wants_content(effect):
            return None
        try:
            return await self.keeper.manifest_for(effect)
        except BusUnavailable as error:  # the content comes later: `repair` tries again
            self._log.warning("share_content_unreachable", seq=seq, reason=str(error))
            return None

    async def _persist(self, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread until it succeeds: what is in the log has to be done here too."""
        is_told = False
        while True:
            try:
                await asyncio.to_thread(work)
            except (OSError, sqlite3.Error) as error:
                if not is_told:
                    self._log.error("share_waits_for_disk", reason=str(error))
                is_told = True
                await self._clock.sleep(AGAIN_SECONDS)
            else:
                return

    def _settle(self, settling: _Settling) -> None:
        if not settling.is_recorded:
            self.index.record_all((each.seq, each.entry, each.effect) for each in settling.applied)
            settling.is_recorded = True
        if not settling.is_carried_out:
            with self.folder.holding():
                for each in settling.applied:
                    self._carry_out_one(each)
            settling.is_carried_out = True
        self.keeper.plain.sync()

    def _carry_out_one(self, each: _Applied) -> None:
        if self.keeper.is_keeping:
            operation, temporary = each.entry.operation, each.temporary
            self.keeper.carry_out(operation, each.effect, each.manifest, temporary)
        elif each.temporary is not None:
            self.folder.drop_temporary(each.temporary)

    async def _hear(self, heard: Entry[ShareOperation]) -> None:
        if heard.value is None or heard.revision <= self.tree.head:
            return
        if heard.revision > self.tree.head + 1:
            await self._cross_gap()
        async with self.lock:
            if heard.revision <= self.tree.head:
                return
            if self.is_caught_up:
                await self.apply(heard.revision - 1, [(heard.value, None)])
                return
            with self._as_a_whole():
                effect = self.tree.apply(heard.revision, heard.value.operation)
                self._unrecorded.append((heard.revision, heard.value, effect))
                if len(self._unrecorded) >= CATCH_UP_BATCH:
                    await self._record()
            self._advanced.set()

    async def _cross_gap(self) -> None:
        """Go on from the snapshot if what is missing was dropped while this process did not hear the log."""
        identity, first, _ = await self._stream.wait_state()
        if identity != self.log_id:
            raise Replaced(f"the log is {identity} now")
        async with self.lock:
            if first <= self.tree.head + 1:
                return  # an entry that this version cannot read
            self._log.warning("share_log_skipped", after=self.tree.head, first=first)
            self._unrecorded.clear()
            await self._begin_anew(identity, first, is_other=False)
            self._settled = self.tree.head
            if self.keeper.is_keeping:
                self.keeper.pending |= await asyncio.to_thread(self.keeper.differences)
        self._name(identity)
        if self.is_caught_up:
            self._ready.set()
        self._advanced.set()

    async def _record(self) -> None:
        recorded, self._unrecorded = self._unrecorded, []
        await self._persist(lambda: self.index.record_all(recorded))
        self._settled = self.tree.head
        for seq, entry, _ in recorded:  # a client may have come before the log was read
            self._announce(seq, entry)

    def _announce(self, seq: int, entry: ShareOperation) -> None:
        for listener in self._listeners:
            listener(seq, entry)

    # Its life.

    async def _live(self) -> None:
        """Go through one life, from what the index has to where everything is looked after. Replaced."""
        self._stream.reopen()
        self._unrecorded.clear()
        tree = ShareTree()
        await asyncio.to_thread(self.index.load, tree)
        self.tree = tree
        self._is_torn = False
        self._settled = self.tree.head
        known = self.index.log_id
        try:
            identity, first, last = await self._stream.state()
        except BusUnavailable:
            if known:  # what was true last can be read without the bus
                self._name(known)
                self._ready.set()
            identity, first, last = await self._stream.wait_state()
        if identity == known and last < self.tree.head:
            identity, first, last = await self._stream.find_end(self.tree.head)
        is_other = identity != known or last < self.tree.head
        if is_other or first > self.tree.head + 1:
            await self._begin_anew(identity, first, is_other=is_other)
        self._name(identity)
        self._lives.tasks.start(self._follow(), "follow")
        while self.tree.head < last:
            self._advanced.clear()
            await self._advanced.wait()
        async with self.lock:
            with self._as_a_whole():
                await self._record()
            self.is_caught_up = True
        self._lives.tasks.start(self.retention.run(self, self._stream), "retention")
        await self._caretaker.run(self._ready.set)

    async def _follow(self) -> None:
        try:
            await self._stream.follow(lambda: self.tree.head, self._hear)
        except Replaced as error:
            self._lives.fail(error)

    async def _end(self) -> None:
        """End a life: nobody is answered from it any more, and others may take the directory.

        What is under way on the disk is waited for; a thread cannot be stopped.
        """
        self._ready.clear()
        self._named.clear()
        self.is_caught_up = False
        async with self._caretaker.resting(), self.lock:
            await self._caretaker.aclose()
            await self._lives.tasks.aclose()
            await asyncio.to_thread(self.keeper.give_up)
        self._on_break()

    def _name(self, log_id: str) -> None:
        self.log_id = log_id
        self._named.set()

    async def _begin_anew(self, identity: str, first: int, *, is_other: bool) -> None:
        """Leave what the index has: another log is there, or the start of this one is gone.

        Another one is also one that ends before what is here: its end was lost. What was seen on the
        disk was of that end, and does not count either.
        """
        self._ready.clear()
        self._named.clear()
        if is_other:
            before = self.index.log_id
            is_back = identity == before
            if before:
                self._log.warning("share_log_replaced", log=identity, is_shorter=is_back)
            self._settled = 0
            self.tree = ShareTree()
            self.contents.forget()
            await self._persist(lambda: self.index.reset(identity, is_unseen=is_back))
        if first > self.tree.head + 1:
            self.tree = await self.retention.load(first - 1)
            await self._persist(lambda: self.index.begin_at(self.tree))
        self._on_break()
