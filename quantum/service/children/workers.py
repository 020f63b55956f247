"""The data-plane workers of a process: started together, changed together, replaced when they die.

Each is a process of its own with the same rooms, which share the TCP ports. To the parent's ``Switch``
all of them are one more service: a configuration is in force when every worker prepared it, or nowhere.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from quantum.clock import Clock
from quantum.errors import QuantumError
from quantum.service.api import Prepared, Revision, State
from quantum.service.children.channel import Message
from quantum.service.children.child import Child
from quantum.service.children.figures import Family, lasting, merge
from quantum.tasks import TaskSet

if TYPE_CHECKING:
    import structlog

FIRST_BACKOFF, LAST_BACKOFF = 0.05, 10.0
"""Seconds before a dead worker is replaced: at once after a long life, ever later in a crash loop."""
LONG_LIFE_SECONDS = 10.0
COMMIT_SECONDS = 5.0
"""How long a change waits for the workers to say that it is in force; they take milliseconds."""
SPARE_SECONDS = 1.0
"""After a death, before the next process is loaded: it shall not compete with the one that starts."""
OVERTIME_SECONDS = 3.0
"""Beyond the grace of a stop, before a worker is killed; less than the runner gives us."""


@dataclass(frozen=True)
class Crew:
    """What the workers are: how many, which program, and what each is told at its start."""

    count: int
    command: Sequence[str]
    settings: Callable[[int], Message]


class Workers:
    """A Service. ``start`` needs a revision in force: ``active``."""

    def __init__(
        self,
        crew: Crew,
        active: Callable[[], Revision | None],
        *,
        clock: Clock,
        metrics: CollectorRegistry,
        log: structlog.stdlib.BoundLogger,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """``on_failure`` hears of a defect of this class, never of a worker's death."""
        self._crew = crew
        self._active = active
        self._clock = clock
        self._log = log
        self._lives = TaskSet("workers", on_failure)
        self._tasks = TaskSet("workers", on_failure)
        self._children: dict[int, Child] = {}
        self._restarts = dict.fromkeys(range(1, crew.count + 1), 0)
        self._turn = asyncio.Lock()
        self._changes = itertools.count(1)
        self._committing: list[asyncio.Future[Message]] = []
        self._departed: list[Family] = []
        self._spare: Child | None = None
        self._is_complete = False
        self._deaths = Counter(
            "quantum_process_worker_deaths_total", "Workers that ended unasked", registry=metrics
        )
        Gauge("quantum_process_workers_ready", "Workers that serve", registry=metrics).set_function(
            lambda: len(self._ready())
        )
        Gauge(
            "quantum_process_worker_spares", "Processes that wait to replace one", registry=metrics
        ).set_function(lambda: int(self._spare is not None and self._spare.is_loaded))

    # Their lives.

    async def start(self) -> None:
        """Start them all and wait until they serve; QuantumError when one cannot."""
        loop = asyncio.get_running_loop()
        first = {n: loop.create_future() for n in self._restarts}
        for number, ready in first.items():
            self._lives.start(self._keep(number, ready), f"worker {number}")
        await asyncio.wait(first.values(), return_when=asyncio.FIRST_EXCEPTION)
        failures = [f.exception() for f in first.values() if f.done()]
        for failure in failures:
            if failure is not None:
                raise failure
        self._is_complete = True
        self._lives.start(self._load_spare(0), "spare")

    async def _keep(self, number: int, first: asyncio.Future[None]) -> None:
        """Have one worker running, always."""
        backoff = FIRST_BACKOFF
        while True:
            born = self._clock.monotonic()
            failure = await self._run_one(number, first)
            if not first.done():
                first.set_exception(failure)
                return
            self._deaths.inc()
            self._restarts[number] += 1
            if self._clock.monotonic() - born >= LONG_LIFE_SECONDS:
                backoff = FIRST_BACKOFF
            self._log.error(
                "worker_died", worker=number, reason=str(failure), restart_in=round(backoff, 2)
            )
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)

    async def _run_one(self, number: int, first: asyncio.Future[None]) -> QuantumError:
        """Start a worker and return when it ended, with what is known of the reason."""
        try:
            child = await self._take_spare()
        except OSError as error:
            return QuantumError(f"worker {number} was not started: {error}")
        self._children[number] = child
        child.begin(number, self._crew.settings(number))
        try:
            await self._provision(child)
        except QuantumError as error:
            child.kill()
            code = await child.ended()
            return QuantumError(f"worker {number} (exit {code}): {error}")
        child.state = State.RUNNING
        self._log.info("worker_ready", worker=number, pid=child.pid)
        if not first.done():
            first.set_result(None)
        code = await child.ended()
        self._departed = merge([self._departed, lasting(child.figures)])
        child.figures = []
        return QuantumError(f"ended by signal {-code}" if code < 0 else f"exit status {code}")

    async def _take_spare(self) -> Child:
        """Return a process that has loaded its program; loading takes longer than all the rest."""
        spare, self._spare = self._spare, None
        if self._is_complete:
            self._lives.start(self._load_spare(SPARE_SECONDS), "spare")
        if spare is not None and spare.is_alive:
            return spare
        return await Child.spawn(self._crew.command, self._tasks)

    async def _load_spare(self, delay: float) -> None:
        await self._clock.sleep(delay)
        if self._spare is None or not self._spare.is_alive:
            try:
                self._spare = await Child.spawn(self._crew.command, self._tasks)
            except OSError as error:
                self._log.warning("worker_spare_not_started", reason=str(error))

    async def _provision(self, child: Child) -> None:
        """Bring a new worker to the revision in force, between two changes of it."""
        async with self._turn:
            revision = self._active()
            assert revision is not None
            change = next(self._changes)
            await child.prepare(change, revision)
            committed = child.commit(change)
            await asyncio.wait([committed], timeout=COMMIT_SECONDS)
            if not committed.done():
                raise QuantumError("does not take the configuration into use")
            committed.result()

    async def stop(self, grace: float) -> None:
        """Let them drain; QuantumError when some had to be killed, or ended badly."""
        await self._lives.aclose()
        if self._spare is not None:
            self._spare.kill()
            await self._spare.ended()
        children = [c for c in self._children.values() if c.is_alive]
        for child in children:
            child.stop()
        ends = [self._tasks.start(child.ended(), "end") for child in children]
        if ends:
            _, late = await asyncio.wait(ends, timeout=grace + OVERTIME_SECONDS)
            for child in children if late else ():
                child.kill()
            await asyncio.wait(ends)
        codes = [end.result() for end in ends]
        await self._tasks.aclose()
        if any(codes):
            raise QuantumError(f"workers ended with {codes}")

    # Their configuration.

    def _ready(self) -> list[Child]:
        return [c for c in self._children.values() if c.state is State.RUNNING]

    async def prepare(self, revision: Revision) -> Prepared:
        """Have it prepared by all that serve; ConfigError when one refuses, or ends over it.

        A worker that starts meanwhile waits, and then gets what is in force.
        """
        await self._turn.acquire()
        change, children = next(self._changes), self._ready()
        try:
            answers = await asyncio.gather(
                *(child.prepare(change, revision) for child in children), return_exceptions=True
            )
        except BaseException:
            self.discard(change, children)
            raise
        for answer in answers:
            if isinstance(answer, BaseException):
                self.discard(change, children)
                raise answer
        return _Change(self, change, children)

    def discard(self, change: int, children: list[Child]) -> None:
        """Tell them to drop ``change``."""
        for child in children:
            child.discard(change)
        self._turn.release()

    def commit(self, change: int, children: list[Child]) -> None:
        """Tell them that ``change`` is in force."""
        self._committing = [child.commit(change) for child in children]
        self._turn.release()

    async def settled(self) -> None:
        """Wait until the last change is in force in all, however briefly; one that ends is replaced."""
        committing, self._committing = self._committing, []
        if committing:
            await asyncio.wait(committing, timeout=COMMIT_SECONDS)

    # What they show.

    @property
    def state(self) -> State:
        """RUNNING once all were ready, and while at least one is."""
        return State.RUNNING if self._is_complete and self._ready() else State.STARTING

    async def describe(self) -> list[dict[str, Any]]:
        """Return what each is doing."""
        await self._ask_all()
        return [
            {
                "worker": number,
                "pid": child.pid,
                "state": child.state.value,
                "restarts": self._restarts[number],
                "process": child.status.get("process"),
                "revision": child.status.get("revision"),
                "rooms": child.status.get("rooms", {}),
            }
            for number, child in sorted(self._children.items())
        ]

    async def figures(self) -> list[list[Family]]:
        """Return the metrics of each, and what those counted that are gone."""
        await self._ask_all()
        return [self._departed, *(child.figures for child in self._children.values())]

    async def _ask_all(self) -> None:
        await asyncio.gather(*(child.report() for child in self._ready()))


@dataclass(frozen=True)
class _Change:
    """A prepared revision."""

    workers: Workers
    change: int
    children: list[Child]

    def commit(self) -> None:
        """Take it, everywhere."""
        self.workers.commit(self.change, self.children)

    async def discard(self) -> None:
        """Drop it, everywhere."""
        self.workers.discard(self.change, self.children)
