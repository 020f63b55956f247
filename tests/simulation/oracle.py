"""Playing a history and judging it: the lines of the contract that the sync client is held to.

1 convergence · 2 no silent loss · 3 only whole contents are seen · 5 an effect happens once · 6 resume
without gaps · 7 compare-and-swap · 8 a move takes all that is below along · 9 no two names that are one
on some system · 12 mass deletions are held, an empty mount deletes nothing · 13 termination, and a
second sync does nothing · 14 clocks decide nothing. Of the others, 4 (what is announced can be fetched),
10 (no escape) and 11 (bounded) are the server's and are tested with the real one.
"""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from services.sync.client.planning.model import ancestors, fold
from tests.simulation.disk import Inode
from tests.simulation.history import History
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.world import Machine, World

QUIET_SECONDS = 400.0
"""Virtual seconds after the last step in which everything must have settled."""


@dataclass
class Verdict:
    problem: str = ""
    actions: int = 0
    seconds: float = 0.0
    operations: int = 0
    crashes: int = 0
    trace: str = ""


@dataclass
class Player:
    """Does to a world what a history says, and keeps account of every content."""

    world: World
    written: set[bytes] = field(default_factory=set)
    released: set[bytes] = field(default_factory=set)
    """Contents that a person replaced or deleted knowingly: they need not be anywhere any more."""

    async def play(self, history: History) -> str:
        for pause, kind, *rest in history.steps:
            await asyncio.sleep(pause)
            getattr(self, "_" + kind)(*rest)
        return await self._judge()

    # What people do.

    def _write(self, client: int, path: str, content: str) -> None:
        """Write in place, as a shell's redirection does."""
        machine = self.world.machines[client]
        if not self._may(machine, path):
            return
        data = content.encode()
        found = self._make_way(machine, path)
        inode = found or machine.disk.node()
        self.written.add(data)
        self._release(inode if found else None, data)
        inode.data = inode.durable = data
        inode.modified = inode.changed = machine.disk.stamp()
        if found is None:
            machine.disk.change("link", "/" + path, inode)
        self._saved(machine, path)

    def _save(self, client: int, path: str, content: str) -> None:
        """Replace by a new file, as editors do."""
        machine = self.world.machines[client]
        if not self._may(machine, path):
            return
        found = self._make_way(machine, path)
        data = content.encode()
        self.written.add(data)
        self._release(found, data)
        inode = machine.disk.node()
        inode.data = inode.durable = data
        machine.disk.change("link", "/" + path, inode)
        self._saved(machine, path)

    def _delete(self, client: int, path: str) -> None:
        machine = self.world.machines[client]
        inode = self._at(machine, path)
        if inode is None:
            return
        self._release(inode)
        machine.disk.change("unlink", "/" + path)
        self._saved(machine, path)

    def _move(self, client: int, path: str, to: str) -> None:
        machine = self.world.machines[client]
        is_free = self._at(machine, to) is None and self._may(machine, to)
        if self._at(machine, path) is None or not is_free or f"{to}/".startswith(f"{path}/"):
            return
        self._make_way(machine, to)
        machine.disk.change("rename", "/" + path, "/" + to)
        self._saved(machine, path, to)

    def _mkdir(self, client: int, path: str) -> None:
        machine = self.world.machines[client]
        if self._at(machine, path) is None and self._may(machine, path):
            self._make_way(machine, path)
            machine.disk.change("link", "/" + path, machine.disk.node({}))
            self._saved(machine, path)

    # What breaks.

    def _crash(self, client: int, fuse: int) -> None:
        self.world.machines[client].fuse = fuse

    def _cut(self, client: int) -> None:
        self.world.faults[f"client{client}"].is_cut = True

    def _heal(self, client: int) -> None:
        self.world.faults[f"client{client}"].is_cut = False

    def _replica(self, number: int) -> None:
        replica = self.world.replicas[number]
        replica.switch(is_up=not replica.is_up)

    def _unmount(self, client: int) -> None:
        disk = self.world.machines[client].disk
        disk.is_mounted = not disk.is_mounted
        self.world.machines[client].touch("")

    def _trim(self, client: int) -> None:
        self.world.truth.oldest = len(self.world.truth.log)
        self.world.truth.chunks.clear()

    # The judgement.

    async def _judge(self) -> str:
        world = self.world
        await asyncio.sleep(1.0)
        self._calm()
        limit = world.loop.time() + QUIET_SECONDS
        while world.loop.time() < limit:
            await asyncio.sleep(5.0)
            if self._difference() == "" and all(
                m.session and m.session.is_quiet for m in world.machines
            ):
                break
        return world.problem or self._difference() or self._loss() or await self._idle()

    def _calm(self) -> None:
        """Everything is up and connected; whoever asks for confirmation gets it."""
        world = self.world
        world.is_quiet = True
        for replica in world.replicas:
            replica.switch(is_up=True)
        for machine in world.machines:
            machine.fuse = -1
            machine.disk.is_mounted = True
            faults = world.faults[machine.name]
            faults.is_cut, faults.loss, faults.delay = False, 0.0, 0.001

    def _difference(self) -> str:
        """Lines 1, 3, 6, 14: all replicas are equal, byte for byte."""
        truth = self.world.truth
        there = {
            p: None if n.is_directory else truth.contents[n.hash] for p, n in truth.tree.items()
        }
        for machine in self.world.machines:
            here = machine.disk.files()
            for path in sorted(here.keys() | there.keys()):
                missing = object()
                if here.get(path, missing) != there.get(path, missing):
                    return f"not converged: {machine.name} {path}: {here.get(path, 'absent')!r}, server {there.get(path, 'absent')!r}"
        return ""

    def _loss(self) -> str:
        """Lines 2 and 3: everything that was written is there, and nothing that was not."""
        present = {d for m in self.world.machines for d in m.disk.files().values() if d is not None}
        lost = self.written - self.released - present
        if lost:
            return f"lost: {sorted(lost)}"
        strange = present - self.written
        return f"torn or invented: {sorted(strange)}" if strange else self._names()

    def _names(self) -> str:
        """Lines 8 and 9: no name twice for a system that ignores case; nothing without a directory."""
        tree = self.world.truth.tree
        for path in tree:
            if any(above not in tree or not tree[above].is_directory for above in ancestors(path)):
                return f"orphan: {path} is in no directory"
        names = sorted(tree, key=fold)
        for one, other in pairwise(names):
            if fold(one) == fold(other):
                return f"clash: {one} and {other}"
        return self._swaps()

    def _swaps(self) -> str:
        """Line 7: no version was replaced by two writers."""
        seen: set[Any] = set()
        for path, expect, version in self.world.truth.wins:
            if expect is not None and (path, version) in seen:
                return f"two writers replaced version {version} of {path}"
            seen.add((path, version))
        return ""

    async def _idle(self) -> str:
        """Lines 5 and 13: a start and a full look, with the log sent again, change nothing."""
        before = len(self.world.truth.log)
        for machine in self.world.machines:
            machine.die(power=False)
        for machine in self.world.machines:
            for task in machine.tasks:
                task.cancel()
        actions = self.world.actions
        await asyncio.sleep(45.0)
        if len(self.world.truth.log) != before or self.world.actions != actions:
            extra = self.world.truth.log[before:]
            return f"not idle: {self.world.actions - actions} more steps after everything was equal: {extra}"
        return self._difference()

    # Accounts.

    def _at(self, machine: Machine, path: str) -> Inode | None:
        if not machine.disk.is_mounted:
            return None
        try:
            return machine.disk.find("/" + path)
        except OSError:
            return None

    def _may(self, machine: Machine, path: str) -> bool:
        """Whether a person could put a file there: nothing of another kind is in the way."""
        if not machine.disk.is_mounted:
            return False
        found = self._at(machine, path)
        above = [self._at(machine, p) for p in ancestors(path)]
        return (found is None or found.names is None) and all(
            a is None or a.names is not None for a in above
        )

    def _make_way(self, machine: Machine, path: str) -> Inode | None:
        for above in ancestors(path):
            if self._at(machine, above) is None:
                machine.disk.change("link", "/" + above, machine.disk.node({}))
        return self._at(machine, path)

    def _release(self, inode: Inode | None, keep: bytes = b"") -> None:
        if inode is None:
            return
        if inode.names is None:
            if inode.data != keep:
                self.released.add(inode.data)
            return
        for below in inode.names.values():
            self._release(below)

    def _saved(self, machine: Machine, *paths: str) -> None:
        machine.disk.sync()
        machine.touch(*paths)


def run(history: History, loop: VirtualLoop | None = None) -> Verdict:
    """Play one history in virtual time."""
    own = loop is None
    loop = loop or VirtualLoop()
    world = None

    async def main() -> Verdict:
        nonlocal world
        world = World(loop, history.seed, history.rules)
        player = Player(world)
        try:
            problem = await player.play(history)
        finally:
            await world.close()
        trace = repr([(c.path, c.node, c.source, c.client) for c in world.truth.log])
        return Verdict(
            problem, world.actions, loop.time(), len(world.truth.log), world.crashes, trace
        )

    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    except Stuck:
        return Verdict("everybody waits for ever")
    finally:
        asyncio.set_event_loop(None)
        if own:
            loop.close()
