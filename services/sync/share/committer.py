"""The way into the log: what is wished for is decided, appended and carried out, trip by trip.

A change is decided against the tree at the head of the log and appended right behind that head; if
somebody else was faster the append fails, the replica catches up, and the change is decided again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quantum.bus.api import Conflict
from quantum.bus.subjects import ShareOperation
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet
from services.sync.rules.operations import paths_of
from services.sync.share.committing import Asked, Batch, Committed, Decide, Ends, Wish
from services.sync.share.log import ShareLog
from services.sync.share.reading import Logged

if TYPE_CHECKING:
    from services.sync.share.share import Share


class Committer:
    """The writers of one share in this process."""

    def __init__(self, share: Share, stream: ShareLog, clock: Clock, tasks: TaskSet) -> None:
        """``tasks`` are those of the share: they end with it."""
        self._share = share
        self._stream = stream
        self._clock = clock
        self._tasks = tasks
        self._waiting: deque[Wish] = deque()
        self._running: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many changes wait for their trip."""
        return len(self._waiting)

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
        ends = self._ask([Asked(decide, source, op_id, temporary)], before_apply)
        (end,) = await ends.all()
        if isinstance(end, BaseException):
            raise end
        return end

    async def commit_all(self, asked: Sequence[Asked]) -> list[Committed | BaseException]:
        """Commit many changes as ``commit`` does each; return how each one ended."""
        return await self._ask(asked).all() if asked else []

    def _ask(self, asked: Sequence[Asked], before_apply: Callable[[], None] | None = None) -> Ends:
        ends = Ends(len(asked))
        self._waiting.extend(
            Wish(each.decide, each.source, each.op_id, each.temporary, before_apply, ends, place)
            for place, each in enumerate(asked)
        )
        if self._running is None or self._running.done():
            self._running = self._tasks.start(self._commit_waiting(), "commit")
        return ends

    async def _commit_waiting(self) -> None:
        """Commit until nothing waits."""
        batch = Batch(self._share.tree, self._done_before)
        try:
            while self._waiting:
                async with self._share.lock:
                    batch = Batch(self._share.tree, self._done_before)
                    batch.fill(self._waiting, self._clock.now())
                    at = self._share.tree.head
                    is_done = await self._commit_batch(batch, at)
                if not is_done:
                    await self._catch_up(at)
        except BaseException as error:
            for wish in [*batch.all, *self._waiting]:
                wish.fail(BusUnavailable(str(error) or type(error).__name__))
            self._waiting.clear()
            raise

    async def _commit_batch(self, batch: Batch, at: int) -> bool:
        """Append and apply; False when the log has gone on and everything is to be decided again."""
        if not batch.wishes:
            return await self._end(batch, at)
        try:
            if not self._share.takes_changes:
                raise BusUnavailable("the log was not read yet")
            await self._stream.append(batch.entries, at)
        except Conflict:
            self._waiting.extendleft(reversed(batch.all))
            return False
        except BusUnavailable as error:
            await self._fail(batch.all, error)
            return True
        await self._carry_out(batch, at)
        await self._drop_ended(batch)
        return True

    async def _end(self, batch: Batch, at: int) -> bool:
        """End wishes that take nothing; False when the log has gone on, and they may take something."""
        try:
            is_current = (await self._stream.state())[2] == at
        except BusUnavailable as error:
            await self._fail(batch.all, error)
            return True
        if is_current:
            await self._drop_ended(batch)
        else:
            self._waiting.extendleft(reversed(batch.all))
        return is_current

    async def _drop_ended(self, batch: Batch) -> None:
        """Tell the wishes that take nothing so: the tree they were decided by was at the head."""
        for wish in batch.ended:
            wish.tell()
        if unused := [wish.temporary for wish in batch.ended if wish.temporary]:
            await asyncio.to_thread(self._drop, unused)

    async def _fail(self, wishes: list[Wish], error: BusUnavailable) -> None:
        for wish in wishes:
            wish.fail(error)
        if unused := [wish.temporary for wish in wishes if wish.temporary]:
            await asyncio.to_thread(self._drop, unused)

    async def _carry_out(self, batch: Batch, at: int) -> None:
        entries: list[tuple[ShareOperation, str | None]] = []
        for wish in batch.wishes:
            if wish.before_apply is not None:
                wish.before_apply()
            entries += [(entry, None) for entry in wish.entries[:-1]]
            entries.append((wish.entries[-1], wish.temporary))
        await self._share.apply(at, entries)
        for wish in batch.wishes:
            at += len(wish.entries)
            wish.settle(Committed(wish.path, at, tuple(wish.entries)))

    async def _catch_up(self, at: int) -> None:
        try:
            await self._share.wait_past(at, lambda: self._share.tree.head)
        except BusUnavailable as error:
            waiting = list(self._waiting)
            self._waiting.clear()
            await self._fail(waiting, error)

    def _drop(self, temporaries: list[str]) -> None:
        for temporary in temporaries:
            self._share.folder.drop_temporary(temporary)

    def _done_before(self, op_ids: Sequence[str]) -> dict[str, Committed]:
        found = self._share.index.by_ids(op_ids)
        return {each.entry.op_id: _committed(each) for each in found}


def _committed(logged: Logged) -> Committed:
    path = paths_of(logged.entry.operation)[-1]
    return Committed(path, logged.seq, (logged.entry,))
