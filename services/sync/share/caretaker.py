"""What goes on by itself in a share whose plain directory this process keeps: looking and mending.

Changes of other programs are found without holding anything up, and judged again at the commit: what
is not as it was found by then is looked at once more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet
from services.sync.disk.survey import Findings, Found
from services.sync.disk.watcher import Watcher
from services.sync.protocol import SERVER
from services.sync.rules.adoption import Verdict, adopt, find_move
from services.sync.rules.changes import Plan, Step, View
from services.sync.rules.draft import Draft
from services.sync.share.keeper import Keeper

if TYPE_CHECKING:
    from services.sync.share.share import Share

KEEP_SECONDS = 1.0
"""Between attempts to take over a directory, or to mend it; and after the start, until everything is
compared once more: a change from before the system began to report changes (some 50 ms) is seen then."""

MENDED_AT_ONCE = 100
"""Paths that are mended before writers get their turn again."""

DISK_FAILURES = (OSError, sqlite3.Error)
"""A full disk, and what SQLite makes of it: looked at again when the next second has passed."""

_log = structlog.get_logger("quantum.sync")


class Caretaker:
    """Runs for as long as the share does."""

    def __init__(
        self,
        share: Share,
        keeper: Keeper,
        clock: Clock,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """``on_failure`` hears of what ended a part of it that nobody foresaw."""
        self._share = share
        self._keeper = keeper
        self._clock = clock
        self._tasks = TaskSet(f"caretaker:{share.name}", on_failure)
        self._looking = asyncio.Lock()
        self._unlooked: set[str] = set()

    async def aclose(self) -> None:
        """Stop."""
        await self._tasks.aclose()

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Wait for the look that is under way; none begins until this is left."""
        async with self._looking:
            yield
            self._unlooked.clear()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Take the directory when it is free, and look after it; call ``on_ready`` after the first look."""
        while not await self._try_keep():
            on_ready()
            await self._clock.sleep(KEEP_SECONDS)
        await self.look({""})
        async with self._share.lock:
            self._keeper.pending |= await asyncio.to_thread(self._keeper.differences)
        await self._mend()
        on_ready()
        await self._clock.sleep(KEEP_SECONDS)
        await self.look({""})
        while True:
            await self._mend()
            await self._merge()
            await self._clock.sleep(KEEP_SECONDS)

    async def _try_keep(self) -> bool:
        if not self._share.is_writable:
            return False
        try:
            async with self._share.lock:
                is_keeping = await asyncio.to_thread(self._keep)
        except DISK_FAILURES as error:
            _log.warning("share_not_kept", reason=str(error))
            return False
        if is_keeping:
            watcher = Watcher(self._share.root, self._clock, self.look)
            self._tasks.start(watcher.run(), "watch")
        return is_keeping

    def _keep(self) -> bool:
        index = self._share.index
        if not self._keeper.try_keep(self._share.log_id, is_unseen=index.is_unseen):
            return False
        index.note_seen()
        return True

    async def _mend(self) -> None:
        if self._unlooked:
            await self.look(set())
        pending = sorted(self._keeper.pending)
        for start in range(0, len(pending), MENDED_AT_ONCE):
            try:
                async with self._share.lock:
                    await self._keeper.repair(set(pending[start : start + MENDED_AT_ONCE]))
            except (BusUnavailable, *DISK_FAILURES) as error:
                _log.warning("share_not_mended", reason=str(error))
                return
        if copies := self._keeper.take_copies():
            await self.look(copies)

    async def _merge(self) -> None:
        """Keep the packs of chunks few; whoever reads meanwhile finds the old or the new ones."""
        try:
            await asyncio.to_thread(self._share.contents.directory.packs.merge)
        except OSError as error:  # full: they stay as they are
            _log.warning("share_packs_not_merged", reason=str(error))

    async def look(self, paths: set[str]) -> None:
        """Find out what changed at ``paths`` (and below) and adopt it."""
        if not self._keeper.is_keeping:
            return
        if not self._keeper.folder.has_store:
            _log.error("share_root_lost", root=self._share.root, remedy="mount it again")
            return  # an empty mount point is not a thousand deletions
        async with self._looking:
            if not self._keeper.is_keeping:
                return  # it was given up meanwhile
            wanted, self._unlooked = paths | self._unlooked, set()
            try:
                while wanted:
                    wanted = await self._look_once(wanted)
            except (BusUnavailable, *DISK_FAILURES) as error:
                self._unlooked |= wanted
                _log.warning("share_change_waits", reason=str(error))

    async def _look_once(self, paths: set[str]) -> set[str]:
        """Adopt a part of what changed; return where to look again at once."""
        findings = await asyncio.to_thread(self._keeper.survey.look, paths)
        if findings.again:
            self._tasks.start(self._look_later(findings.again, findings.again_in), "later")
        for found in findings.found:
            if found.manifest is not None:
                await self._share.contents.publish(found.manifest)
        redo = await self._adopt(findings)
        redo |= self._keeper.take_copies()
        return redo if findings.is_complete else redo | paths

    async def _look_later(self, paths: set[str], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.look(paths)

    async def _adopt(self, findings: Findings) -> set[str]:
        if not findings.found:
            return set()
        judged = _Judged(self._keeper)
        committed = await self._share.commit(
            lambda view: judged.decide(view, findings.found), SERVER, before_apply=judged.note
        )
        if not committed.sequence:
            judged.note()
        if judged.losing or judged.restored:
            async with self._share.lock:
                for found in judged.losing:
                    await asyncio.to_thread(self._keeper.set_aside, found)
                for found in judged.restored:
                    self._keeper.seen.forget(found.path)
                await self._keeper.repair({f.path for f in judged.losing + judged.restored})
        async with self._share.lock:
            await asyncio.to_thread(self._keeper.plain.sync)
        return judged.redo


class _Judged:
    """The verdicts on what one look found, as of the last time they were asked for."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.redo: set[str] = set()
        self.losing: list[Found] = []
        self.restored: list[Found] = []
        self._settled: list[Found] = []
        self._moved: tuple[str, str] | None = None

    def decide(self, tree: View, found: list[Found]) -> Plan:
        """Return the operations; called under the lock of the share."""
        self.redo, self.losing, self.restored, self._settled = set(), [], [], []
        self._moved = None
        current = [each for each in found if self._keeper.survey.holds(each)]
        self.redo = {each.path for each in found} - {each.path for each in current}
        move = find_move(tree, current)
        if move is not None:
            source, to, step = move
            self._moved = (source, to)
            self.redo = {each.path for each in found}
            return Plan((step,), to)
        draft = Draft(tree)
        steps: list[Step] = []
        for each in current:
            adoption = adopt(draft, each)
            self._sort(each, adoption.verdict)
            for step in adoption.steps:
                draft.apply(step.operation)
                steps.append(step)
        return Plan(tuple(steps), "")

    def _sort(self, found: Found, verdict: Verdict) -> None:
        if verdict is Verdict.LOSES:
            self.losing.append(found)
        elif verdict is Verdict.RESTORED:
            self.restored.append(found)
        elif verdict is Verdict.REFUSED:
            if self._keeper.survey.refuse(found.path):
                _log.warning("share_name_refused", path=found.path)
        else:
            self._settled.append(found)

    def note(self) -> None:
        """Note as seen what the share has, or is about to have, so."""
        seen = self._keeper.seen
        if self._moved is not None:
            self._keeper.rename_seen(*self._moved)
        for found in self._settled:
            if found.seen is None:
                seen.forget(found.path)
            else:
                seen.note(found.path, found.seen)
