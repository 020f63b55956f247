"""Wishes of this process on their way into the log: many at once are one trip.

Each is decided against the tree as it will be after those before it, so writers that come together cost
the log one round trip, the disk one thread, the index one transaction.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from quantum.bus.subjects import ShareOperation
from services.sync.rules.changes import Plan, View
from services.sync.rules.draft import Draft
from services.sync.rules.operations import content_of
from services.sync.rules.tree import ShareTree

MOST_TOGETHER = 512
"""Wishes of one trip: enough to hide its latency, and that of three syncs of the disk; few enough that the
first does not wait for the last (0.1 s)."""

DoneBefore = Callable[[Sequence[str]], "dict[str, Committed]"]
"""Returns which of some op_ids are in the log, and what they came to."""

Decide = Callable[[View], Plan]
"""Plans what a wish takes in a tree; raises to refuse. May be called several times."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a change came to: where it ended up, the sequence of its last step (0: none was needed)."""

    path: str
    sequence: int
    entries: tuple[ShareOperation, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that is asked for among others: ``Share.commit`` says what each part means."""

    decide: Decide
    source: str
    op_id: str = ""
    temporary: str | None = None


class Ends:
    """How the changes of one call ended: one future for all of them, since a call may have hundreds."""

    def __init__(self, count: int) -> None:
        """There is at least one change; made in a running loop."""
        self._ends: list[Committed | BaseException | None] = [None] * count
        self._left = count
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, place: int, end: Committed | BaseException) -> None:
        """Note how one ended; what is said of it first counts."""
        if self._ends[place] is not None:
            return
        self._ends[place] = end
        self._left -= 1
        if not self._left and not self._over.done():
            self._over.set_result(None)

    async def all(self) -> list[Committed | BaseException]:
        """Wait for the last one. Who is cancelled here stops none of them."""
        await asyncio.shield(self._over)
        return [end for end in self._ends if end is not None]


@dataclass(slots=True)
class Wish:
    """One change that is asked for; its end is told to ``ends``, where it has a ``place``."""

    decide: Decide
    source: str
    op_id: str
    temporary: str | None
    before_apply: Callable[[], None] | None
    ends: Ends
    place: int = 0
    path: str = ""
    is_put_off: bool = False
    entries: list[ShareOperation] = field(default_factory=list)
    end: Committed | Exception | None = None
    """What ``tell`` says, once the tree it was decided by is known to be that of the log."""

    def tell(self) -> None:
        """End as decided."""
        if isinstance(self.end, Committed):
            self.settle(self.end)
        elif self.end is not None:
            self.fail(self.end)

    def settle(self, committed: Committed) -> None:
        """End well."""
        self.ends.end(self.place, committed)

    def fail(self, error: BaseException) -> None:
        """End with what refuses it."""
        self.ends.end(self.place, error)


class Batch:
    """The wishes of one trip, and those that need no trip."""

    def __init__(self, tree: ShareTree, done_before: DoneBefore) -> None:
        self._tree = tree
        self._done_before = done_before
        self._draft: Draft | None = None
        self._ids: set[str] = set()
        self._done: dict[str, Committed] = {}
        self.wishes: list[Wish] = []
        self.ended: list[Wish] = []
        """Those that are refused, or are so already: their temporary files are not needed."""

    @property
    def all(self) -> list[Wish]:
        """Every wish that was taken, to be put back in about the order they came."""
        return [*self.ended, *self.wishes]

    @property
    def entries(self) -> list[ShareOperation]:
        """Everything to append, in order."""
        return [entry for wish in self.wishes for entry in wish.entries]

    def fill(self, waiting: deque[Wish], now: datetime) -> None:
        """Take wishes that can go together; a move goes last, since nothing is planned on top of it."""
        asked = list(islice(waiting, MOST_TOGETHER))
        self._done = self._done_before([wish.op_id for wish in asked if wish.op_id])
        for _ in asked:
            if waiting[0].op_id in self._ids:
                return  # repeated before it was done: the next trip finds it done
            wish = waiting.popleft()
            if self._is_last(wish, now):
                return
            if wish.is_put_off:
                wish.is_put_off = False
                waiting.appendleft(wish)
                return

    def _is_last(self, wish: Wish, now: datetime) -> bool:
        """Plan one wish; whether it has to be the last of this trip."""
        done = self._done.get(wish.op_id) if wish.op_id else None
        if done is not None:
            wish.end = done
            self.ended.append(wish)
            return False
        plan = self._plan(wish)
        if plan is None:
            return False
        if not wish.op_id and wish.before_apply is None:
            # It may be decided again though it is in the log: what came after it in its trip was not
            # stored. What was found on the disk is looked at again anyway.
            wish.op_id = secrets.token_hex(12)
        wish.path, wish.entries = plan.path, _entries(plan, wish, now)
        self.wishes.append(wish)
        if wish.op_id:
            self._ids.add(wish.op_id)
        if any(content_of(step.operation)[0] == "Move" for step in plan.steps):
            return True
        self._draft = self._draft or Draft(self._tree)
        for step in plan.steps:
            self._draft.apply(step.operation)
        return False

    def _plan(self, wish: Wish) -> Plan | None:
        """Return what a wish takes; None when that is nothing: it has ended, or is put off.

        What is refused, or so already, only because of others of this trip waits for the next one:
        those are not in the log yet, and may never be.
        """
        plan, error = _decide(wish, self._draft or self._tree)
        if plan is not None and plan.steps:
            return plan
        if self._draft is not None:
            plan, error = _decide(wish, self._tree)
            if plan is not None and plan.steps:
                wish.is_put_off = True
                return None
        wish.end = error if plan is None else Committed(plan.path, 0)
        self.ended.append(wish)
        return None


def _decide(wish: Wish, view: View) -> tuple[Plan | None, Exception | None]:
    try:
        return wish.decide(view), None
    except Exception as error:  # noqa: BLE001 - it belongs to who asked
        return None, error


def _entries(plan: Plan, wish: Wish, now: datetime) -> list[ShareOperation]:
    last = len(plan.steps) - 1
    return [
        ShareOperation(
            operation=step.operation,
            source_client=wish.source,
            op_id=wish.op_id if wish.op_id and place == last else secrets.token_hex(12),
            at=now,
            base_version=step.base_version,
            rule=step.rule,
        )
        for place, step in enumerate(plan.steps)
    ]
