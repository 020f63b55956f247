"""Rounds: look, plan, carry out, until both sides are equal or nothing more can be done now."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable

from quantum.clock import Clock
from services.sync.client.disk.folder import LocalChanged
from services.sync.client.planning.actions import Action, Kind, Plan
from services.sync.client.planning.names import conflict_path
from services.sync.client.planning.planner import plan
from services.sync.client.progress import Outcome, Progress
from services.sync.client.remote.api import (
    ChunksMissing,
    ConfirmationWanted,
    Offline,
    Refused,
    Remote,
    Rescan,
    Stale,
    Unsupported,
)
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica
from services.sync.client.settings import Settings
from services.sync.client.state import Event, State
from services.sync.client.steps import Steps
from services.sync.client.transfers.together import Together

LONGEST = 20
"""Rounds of one sync. Two or three are usual; more happen while others write all the time, and then
the next event goes on."""

ATTEMPTS = 3
"""Times one step is tried in a sync when it finds something else than expected each time."""

SETTLED_PER_COMMIT = 512
"""Steps after which the record is committed: what a crash makes the next start compare again."""


class DeletionsHeld(Exception):
    """A round would delete so much that somebody has to say that it is meant."""

    def __init__(self, count: int, total: int, side: str) -> None:
        super().__init__(f"{count} of {total} synced files would be deleted {side}")
        self.count, self.total, self.side = count, total, side


class Rounds:
    """Brings one folder and one share together."""

    def __init__(
        self, replica: Replica, view: RemoteView, remote: Remote, state: State, steps: Steps,
        together: Together, settings: Settings, clock: Clock, progress: Progress,
    ) -> None:  # fmt: skip
        self._replica = replica
        self._view = view
        self._remote = remote
        self._state = state
        self._steps = steps
        self._together = together
        self._settings = settings
        self._clock = clock
        self._progress = progress
        self._failures: dict[Action, int] = {}
        self._settled = 0
        self.is_remote_stale = True
        """Whether the server has to be asked before the next plan."""

    async def recover(self) -> None:
        """After a start: bring back what an earlier process had in its hands."""
        await self._run_folder(self._replica.folder.recover)

    async def sync(self) -> Outcome:
        """Sync once, as far as it goes. Raises Offline, Unauthorized, FolderLost, DeletionsHeld."""
        outcome = Outcome()
        self._failures.clear()
        self._steps.trash = self._clock.now().strftime("%Y-%m-%d %H.%M.%S")
        try:
            while outcome.rounds < LONGEST:
                outcome.rounds += 1
                made = await self.prepare()
                self._agree(made)
                outcome.held = made.held
                if not made:
                    if self._replica.folder.partial:
                        await self._replica.run(self._replica.folder.drop_partial)
                    break
                self._guard(made)
                self._progress.planned(made)
                await self._carry_out(made, outcome)
        finally:
            self._replica.folder.kept.clear()
            self._state.commit()
        outcome.skipped = dict(self._replica.skipped)
        outcome.unknown = dict(self._replica.unknown)
        return outcome

    async def prepare(self) -> Plan:
        """Look at both sides as far as needed, and plan."""
        if self.is_remote_stale:
            await self.refresh()
        if self._view.lags:
            self.is_remote_stale = True
            raise Offline("it does not know yet of all that it took from this folder before")
        await self._replica.look()
        made = plan(
            self._replica.tree, self._view.tree, self._state.synced,
            client=self._settings.client, date=self._date(), mode=self._settings.mode,
        )  # fmt: skip
        for phase in ("asides", "moves", "deletions", "directories", "transfers"):
            possible = [a for a in getattr(made, phase) if self._failures.get(a, 0) < ATTEMPTS]
            setattr(made, phase, possible)
        return made

    async def refresh(self) -> None:
        """Ask the server for what happened since the cursor, or for everything."""
        self.is_remote_stale = False
        try:
            if self._view.has_cursor and self._view.is_known:
                try:
                    await self._follow()
                    return
                except Rescan:
                    self._view.is_known = False
            self._view.expect_listing()
            self._view.replace(await self._remote.listing())
        except BaseException:
            self.is_remote_stale = True
            raise

    async def sweep(self) -> None:
        """Look after what was replaced a moment ago."""
        await self._run_folder(
            lambda copy: self._replica.folder.sweep(self._clock.monotonic(), copy)
        )

    async def _run_folder(self, recover: Callable[[Callable[[str], str]], list[str]]) -> None:
        try:
            back = await self._replica.run(recover, self._free_copy)
        except OSError:
            await self._replica.check_marker()
            raise
        for path in back:
            self._note(path, "keep both: written while it was replaced", "nothing is lost")
            self._replica.dirty.add("")

    def _free_copy(self, path: str) -> str:
        folder = self._replica.folder
        return conflict_path(
            path, self._settings.client, self._date(), lambda p: folder.status(p) is not None
        )

    async def _follow(self) -> None:
        while True:
            page = await self._remote.changes(self._view.cursor, self._view.log)
            for change in page.changes:
                self._view.apply(change)
            if page.cursor >= page.head or not page.changes:
                return

    async def _carry_out(self, made: Plan, outcome: Outcome) -> None:
        """Do the steps phase by phase; what fails is planned anew."""
        for phase in (made.asides, made.moves):
            for action in phase:
                await self._try(action, outcome)
        for group in (*_levels(made.deletions), *_levels(made.directories), made.transfers):
            await self._try_all(group, outcome)
        self._state.commit()

    async def _try_all(self, actions: list[Action], outcome: Outcome) -> None:
        """Do steps side by side; the first error that ends the round ends all of them."""
        waiting = self._together.groups(actions, self._settings.parallel)

        async def work() -> None:
            for group in waiting:
                await self._try_group(group, outcome)

        count = min(self._settings.parallel, len(actions))
        if count == 1:
            await work()
            return
        workers = [asyncio.get_running_loop().create_task(work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _try_group(self, group: list[Action], outcome: Outcome) -> None:
        if not self._together.takes(group):
            await self._try(group[0], outcome)
            return
        try:
            ends = await self._together.do(group)
        except Unsupported:
            for action in group:
                await self._try(action, outcome)
            return
        except BaseException as error:  # noqa: BLE001 - what it is not for is raised again
            for action in group:  # one problem of all of them: full, too large, refused
                await self._end(action, error, outcome)
            return
        for action, end in zip(group, ends, strict=True):
            await self._end(action, end, outcome)

    async def _try(self, action: Action, outcome: Outcome) -> None:
        try:
            await self._steps.do(action)
        except BaseException as error:  # noqa: BLE001 - what it is not for is raised again
            await self._end(action, error, outcome)
        else:
            await self._end(action, None, outcome)

    async def _end(self, action: Action, error: BaseException | None, outcome: Outcome) -> None:
        """Note how a step ended; raise what ends the round."""
        match error:
            case None:
                self._did(action, outcome)
            case LocalChanged():
                self._replica.dirty.update({action.path, action.to} - {""})
                self._fail(action, str(error), outcome)
            case Stale() | ChunksMissing():
                self.is_remote_stale = True
                self._fail(action, str(error), outcome)
            case ConfirmationWanted():
                if not self._settings.confirm_deletes:
                    total = len(self._state.synced)
                    raise DeletionsHeld(error.affected, total, "on the server") from error
                self._steps.confirm = self._together.confirm = error.token
                self._fail(action, str(error), outcome)
            case Refused():
                self._failures[action] = ATTEMPTS
                self._fail(action, str(error), outcome)
            case OSError():  # full, not permitted, broken, or the whole folder is gone
                await self._replica.check_marker()
                self._failures[action] = ATTEMPTS
                self._replica.dirty.update({action.path, action.to} - {""})
                self._fail(action, _said(error), outcome)
            case _:
                self.is_remote_stale = True  # what was asked last may have been done
                raise error

    def _fail(self, action: Action, problem: str, outcome: Outcome) -> None:
        self._failures[action] = self._failures.get(action, 0) + 1
        outcome.blocked[action.path] = problem
        self._progress.failed(action, problem)

    def _did(self, action: Action, outcome: Outcome) -> None:
        outcome.done += 1
        outcome.blocked.pop(action.path, None)
        if action.kind is Kind.LOCAL_ASIDE:
            outcome.conflicts.append(action.to)
        self._progress.did(action)
        self._note(action.path, str(action), action.rule)
        for path in (action.path, action.to):
            if path:
                self._settle(path)
        if action.kind in {Kind.LOCAL_MOVE, Kind.REMOTE_MOVE} and action.expect is not None:
            self._settle_below(action)
        self._settled += 1
        if self._settled % SETTLED_PER_COMMIT == 0:
            self._state.commit()

    def _settle(self, path: str) -> None:
        """Record a path as synced if both sides have the same there."""
        node = self._replica.tree.get(path)
        if node == self._view.tree.get(path):
            self._state.set_synced(path, node)

    def _settle_below(self, action: Action) -> None:
        if action.expect is None or not action.expect.is_directory:
            return
        for top in (action.path, action.to):
            for path in [
                p for p in (*self._state.synced, *self._replica.tree) if p.startswith(top + "/")
            ]:
                self._settle(path)

    def _agree(self, made: Plan) -> None:
        for path in made.agreed:
            self._settle(path)

    def _guard(self, made: Plan) -> None:
        """Raise DeletionsHeld when too large a share of the files would go."""
        total = sum(not node.is_directory for node in self._state.synced.values())
        if self._settings.confirm_deletes or not total:
            return
        for side, is_local in (("here", True), ("on the server", False)):
            count = sum(
                a.kind.is_local is is_local and a.expect is not None and not a.expect.is_directory
                for a in made.deletions
            )
            if count > self._settings.guard_minimum and count > total * self._settings.guard_share:
                raise DeletionsHeld(count, total, side)

    def _note(self, path: str, what: str, rule: str) -> None:
        at = self._clock.now().replace(tzinfo=None).isoformat(timespec="seconds")
        self._state.note(Event(f"{at}Z", path, what, rule))

    def _date(self) -> str:
        return self._clock.now().strftime("%Y-%m-%d %H.%M.%S")


def _said(error: OSError) -> str:
    """Return what the system says, with a remedy where somebody has to do something."""
    said = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{said}: make room here; it is tried again"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"{said}: let this user write to the folder"
    return said


def _levels(actions: Iterable[Action]) -> list[list[Action]]:
    """Group ordered steps by depth: a directory waits for what is below or above it."""
    groups: list[list[Action]] = []
    for action in actions:
        depth = action.path.count("/")
        if not groups or groups[-1][0].path.count("/") != depth:
            groups.append([])
        groups[-1].append(action)
    return groups
