"""A folder that stays synced: rounds whenever something happens here or there, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

import structlog

from quantum.clock import Clock
from services.sync.client.disk.folder import DISPLACED_SECONDS, FolderLost
from services.sync.client.progress import Outcome
from services.sync.client.remote.api import Change, Offline
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica
from services.sync.client.rounds import DeletionsHeld, Rounds
from services.sync.client.settings import FIRST_RETRY, LONGEST_RETRY

BUSY_SECONDS = 0.1
"""After which a file that was being written is looked at again."""

RESCAN_SECONDS = 600.0
"""Between full looks at the folder: what the system did not report is seen then."""

Report = Callable[[Outcome], None]


class Session:
    """Wakes for events, syncs, sleeps. ``run`` ends only by an error that waiting does not cure."""

    def __init__(
        self, rounds: Rounds, replica: Replica, view: RemoteView, clock: Clock, random: Random,
        report: Report, rescan: float = RESCAN_SECONDS,
    ) -> None:  # fmt: skip
        self._rounds = rounds
        self._replica = replica
        self._view = view
        self._clock = clock
        self._random = random
        self._report = report
        self._rescan = rescan
        self._wake = asyncio.Event()
        self._failures = 0
        self._log = structlog.get_logger("quantum.sync.client")
        self.is_quiet = False
        """Whether the last sync left nothing to do and nothing happened since."""

    # What happens.

    def changed_here(self, paths: Iterable[str]) -> None:
        """Hear that something may have changed at and below these paths of the folder."""
        self._replica.dirty.update(paths)
        self._rouse()

    def changed_there(self, change: Change) -> None:
        """Hear of an operation of the log."""
        if not self._view.apply(change):
            self._rounds.is_remote_stale = True
        self._rouse()

    def connected(self, *, is_complete: bool) -> None:
        """Hear that operations come again; not complete: what happened before must be asked for."""
        self._rounds.is_remote_stale |= not is_complete
        self._failures = 0
        self._rouse()

    def must_list(self, head: int = 0) -> None:
        """Hear that the log does not reach back to our cursor; operations after ``head`` are told."""
        self._view.is_known = False
        self._view.awaited_head = head
        self._rounds.is_remote_stale = True
        self._rouse()

    def _rouse(self) -> None:
        self.is_quiet = False
        self._wake.set()

    # What is done.

    async def run(self) -> None:
        """Sync for ever. Raises Unauthorized, FolderLost and what cannot be cured by waiting."""
        await self._replica.check_marker()
        await self._rounds.recover()
        next_look = self._clock.monotonic() + self._rescan
        while True:
            delay = await self._once()
            now = self._clock.monotonic()
            if now >= next_look:
                self._replica.dirty.add("")
                next_look = now + self._rescan
            await self._sleep(min(delay, max(0.0, next_look - now)))

    async def _once(self) -> float:
        """Sync; return after how many seconds to do so again if nothing happens."""
        self._wake.clear()
        try:
            outcome = await self._rounds.sync()
            await self._rounds.sweep()
        except Offline as error:
            self._failures += 1
            self._log.info("server_away", reason=str(error), attempt=self._failures)
            return error.retry_after or self._backoff()
        except (DeletionsHeld, FolderLost) as error:
            self._log.error("sync_held", reason=str(error))
            raise
        self._failures = 0
        self._report(outcome)
        if self._view.cursor < self._view.awaited_head:  # the listing came from a replica that lags
            self._rounds.is_remote_stale = True
            return FIRST_RETRY
        self.is_quiet = not self._wake.is_set() and not outcome.blocked
        if self._replica.dirty or outcome.blocked:
            return BUSY_SECONDS if self._replica.dirty else LONGEST_RETRY
        return DISPLACED_SECONDS if self._replica.folder.displaced else self._rescan

    async def _sleep(self, seconds: float) -> None:
        if self._wake.is_set():
            return
        sleeping = asyncio.get_running_loop().create_task(self._clock.sleep(seconds))
        waking = asyncio.get_running_loop().create_task(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    def _backoff(self) -> float:
        longest = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(self._failures, 10))
        return self._random.uniform(longest / 2, longest)
