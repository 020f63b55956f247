"""A whole deployment in one process and in virtual time: people, disks, clients, network, replicas.

The client is the real one (planner, state, folder, rounds, session); only system calls, requests and
time are simulated. A client that crashes stops at a point: nothing it would still do happens.
"""

import asyncio
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from services.sync.client.disk.folder import FolderLost, LocalFolder
from services.sync.client.disk.patterns import Patterns
from services.sync.client.disk.scanner import Scanner
from services.sync.client.pace import Pace
from services.sync.client.progress import Silent
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica as Local
from services.sync.client.rounds import DeletionsHeld, Rounds
from services.sync.client.session import Session
from services.sync.client.settings import Settings
from services.sync.client.state import State
from services.sync.client.steps import Steps
from services.sync.client.transfers.downloads import Downloads
from services.sync.client.transfers.lists import Cutting
from services.sync.client.transfers.local import LocalLists
from services.sync.client.transfers.together import Together
from services.sync.client.transfers.uploads import Uploads
from tests.simulation.disk import Disk, SimulatedCalls
from tests.simulation.network import Faults, SimulatedRemote, cut
from tests.simulation.server import Replica, Truth

START = datetime(2026, 1, 1, tzinfo=UTC)
RESCAN = 20.0
"""Virtual seconds between full looks: events of the file system may be lost."""


class Crash(BaseException):
    """The process is dead. Whatever still unwinds cannot reach anything."""


class Connection:
    """SQLite in memory that outlives the process; what was not committed does not."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._incarnation = machine.incarnation

    def _alive(self) -> sqlite3.Connection:
        if self._incarnation != self._machine.incarnation:
            raise Crash
        return self._machine.database

    def execute(self, statement: str, *values: Any) -> Any:
        connection = self._alive()
        if statement == "COMMIT":
            self._machine.point("commit")
            if self._machine.disk.may_lose_power:
                found = connection.execute(statement, *values)
                self._machine.snapshots = [*self._machine.snapshots[-2:], connection.serialize()]
                return found
        return connection.execute(statement, *values)

    def executemany(self, statement: str, rows: Any) -> Any:
        return self._alive().executemany(statement, rows)

    def executescript(self, script: str) -> Any:
        return self._alive().executescript(script)


class SkewedClock:
    """The loop's time; the wall clock is off by a constant."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew: float) -> None:
        self._loop = loop
        self._epoch = START + timedelta(seconds=skew)

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._loop.time())

    def now_ns(self) -> int:
        return int(self.now().timestamp() * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Rules:
    """What kind of history this is."""

    clients: int = 2
    replicas: int = 1
    loss: float = 0.0
    delay: float = 0.05
    skew: float = 0.0
    power: bool = False
    guard: bool = False
    event_loss: float = 0.0
    many: bool = False
    """Whether the server takes many small changes in one request."""
    chunks: bool = False
    """Whether every content travels by chunks, as only large ones do in real life."""


class Machine:
    """A computer with a disk and a sync client that is started again whenever it died."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.name = world, f"client{number}"
        self.random = Random(f"{world.seed}:{number}")
        skew = world.rules.skew * (-1 if number % 2 else 1)
        self.clock = SkewedClock(world.loop, skew)
        self.disk = Disk(self.clock.now_ns, may_lose_power=world.rules.power)
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.snapshots: list[bytes] = []
        self.incarnation = 0
        self.fuse = -1
        self.token = 0
        self.session: Session | None = None
        self.is_confirmed = False
        self.held = 0
        self.lost_folder = 0
        self.done_in_last_sync = 0
        self.tasks: list[asyncio.Task[Any]] = []

    def point(self, where: str) -> None:
        """A place where the process may die."""
        if self.fuse == 0:
            self.fuse = -1
            self.world.crashes += 1
            self.die(power=self.world.rules.power and self.random.random() < 0.5)
            raise Crash(where)
        self.fuse -= self.fuse > 0

    def die(self, *, power: bool) -> None:
        self.incarnation += 1
        self.session = None
        if self.database.in_transaction:
            self.database.rollback()
        if power:
            self.disk.lose_power(self.random)
            if self.snapshots:
                self.snapshots = self.snapshots[: self.random.randint(1, len(self.snapshots))]
                self.database.close()
                self.database = sqlite3.connect(":memory:", isolation_level=None)
                self.database.deserialize(self.snapshots[-1])

    async def live(self) -> None:
        """Run the client; start it again when it dies."""
        while True:
            try:
                await self._process()
            except Crash:
                pass
            except DeletionsHeld:
                self.die(power=False)
                self.held += 1
                if self.world.is_quiet:
                    self.is_confirmed = True  # somebody was asked, and meant it
            except FolderLost:
                self.die(power=False)
                self.lost_folder += 1
                await asyncio.sleep(1.0)
            except Exception as error:
                self.world.problem = self.world.problem or f"{self.name} failed: {error!r}"
            self.session = None
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.tasks.clear()
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    async def _process(self) -> None:
        incarnation = self.incarnation

        def point(where: str) -> None:
            if incarnation != self.incarnation:
                raise Crash(where)
            self.point(where)

        async def run(function: Any, *arguments: Any) -> Any:
            point("thread")
            if self.random.random() < 0.2:
                await asyncio.sleep(0)
            return function(*arguments)

        folder = LocalFolder("", SimulatedCalls(self.disk, point), self._name)
        folder.synced_one_by_one = int(self.name[-1]) % 2  # both ways to make many files durable
        folder.full = lambda path: f"/{path}"  # type: ignore[method-assign]
        state = State(Connection(self))  # type: ignore[arg-type]
        if not state.fact("marker"):
            state.set_fact("marker", self.name)
            state.commit()
            folder.prepare(self.name)
        elif not folder.read_marker() and not state.synced and self.disk.is_mounted:
            folder.prepare(self.name)
        least = 1 if self.world.rules.chunks else 10**9
        cutting = Cutting(lambda read: cut(read(1000)), least, least, least)
        scanner = Scanner(folder, Patterns(), self.clock.now_ns, state.hashes(), cutting)
        local = Local(folder, scanner, state, run)
        view = RemoteView(state, self.name, lambda path, node: True)
        remote = SimulatedRemote(
            self.world.truth, self.world.replicas, self.world.faults[self.name], self.random,
            self.name, point, takes_many=self.world.rules.many,
        )  # fmt: skip
        guard = (
            {"guard_minimum": 3, "guard_share": 0.5}
            if self.world.rules.guard
            else {"guard_minimum": 10**6}
        )
        settings = Settings(self.name, parallel=2, confirm_deletes=self.is_confirmed, **guard)
        pace = Pace(0, self.clock)
        lists = LocalLists(local, state, run, cutting)
        uploads = Uploads(local, remote, lists, run, pace, Silent())
        downloads = Downloads(local, view, remote, lists, run, pace, Silent())
        steps = Steps(local, view, remote, settings.mode, run, uploads, downloads, self._name)
        together = Together(
            local, view, remote, uploads, run, pace, Silent(), self._name, is_mirror=False
        )
        rounds = Rounds(local, view, remote, state, steps, together, settings, self.clock, Silent())
        session = Session(rounds, local, view, self.clock, self.random, self._report, RESCAN)
        self.session = session
        self.tasks.append(self.world.loop.create_task(remote.follow(session, lambda: view.cursor)))
        await session.run()

    def _name(self) -> str:
        self.token += 1
        return f"{self.token:x}"

    def _report(self, outcome: Any) -> None:
        self.done_in_last_sync = outcome.done
        self.world.actions += outcome.done
        if outcome.rounds >= 20:
            self.world.problem = f"{self.name}: a sync took {outcome.rounds} rounds"

    def touch(self, *paths: str) -> None:
        """The system reports a change, late, or never."""
        if self.random.random() < self.world.rules.event_loss:
            return

        def report() -> None:
            if self.session is not None:
                self.session.changed_here(paths)

        self.world.loop.call_later(self.random.uniform(0.0, 0.1), report)


@dataclass
class World:
    loop: asyncio.AbstractEventLoop
    seed: str
    rules: Rules
    truth: Truth = field(default_factory=Truth)
    is_quiet: bool = False
    actions: int = 0
    crashes: int = 0
    problem: str = ""

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed}:world")
        self.replicas = [Replica(self.truth) for _ in range(self.rules.replicas)]
        self.machines = [Machine(self, number) for number in range(self.rules.clients)]
        self.faults = {machine.name: Faults() for machine in self.machines}
        for faults in self.faults.values():
            faults.loss, faults.delay = self.rules.loss, self.rules.delay
        self.tasks = [self.loop.create_task(machine.live()) for machine in self.machines]
        self.truth.committed = self._spread

    def _spread(self, seq: int) -> None:
        """Let replicas see the log, each at its own pace."""
        for number, replica in enumerate(self.replicas):
            pause = 0.0 if number == seq % len(self.replicas) else self.random.uniform(0.0, 0.2)
            self.loop.call_later(pause, replica.catch_up, seq)

    async def close(self) -> None:
        every = [*self.tasks, *(t for m in self.machines for t in m.tasks)]
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)
        for machine in self.machines:
            machine.database.close()
