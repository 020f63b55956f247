"""One process from its options to its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvloop

from quantum.bus.nats import NatsBus
from quantum.clock import SystemClock
from quantum.errors import QuantumError, explained
from quantum.hop.start import OpenHop, open_hop
from quantum.ids import PROCESS_ID
from quantum.modules.spec import load
from quantum.net.descriptors import raise_descriptor_limit
from quantum.net.listen import cannot_listen
from quantum.service.api import Preparing, Revision, Service, ServiceContext, State
from quantum.service.children.channel import Channel
from quantum.service.children.follower import Follower
from quantum.service.children.settings import worker_settings
from quantum.service.children.workers import Crew, Workers
from quantum.service.embedded import EmbeddedServer
from quantum.service.graph import start_order
from quantum.service.logs.opening import Logging, release_logs
from quantum.service.ops import OpsServer, Status
from quantum.service.options import RunOptions, Worker
from quantum.service.private import DataDirLock, make_private_dir
from quantum.service.revisions import Revisions
from quantum.service.signals import EXIT_FORCED, Signals
from quantum.service.switch import Switch
from quantum.service.watching import watch_file
from quantum.tasks import TaskSet
from quantum.telemetry.log import configure_logging, identify
from quantum.telemetry.metrics import process_registry
from quantum.trimming import keep_trim

__all__ = ["EXIT_FAILED", "EXIT_FORCED", "EXIT_OK", "EXIT_UNCLEAN", "RunOptions", "run"]

EXIT_OK = 0
EXIT_FAILED = 1
"""The start failed, or a room did later."""
EXIT_UNCLEAN = 3
"""It stopped, but a room failed to end or took too long."""
OVERTIME_SECONDS = 5.0
"""What a room may take beyond its grace to release what it holds, before it counts as stuck."""
BUS_SECONDS = 3.0
"""What a start waits for the bus, so that the usual start sees the deployment's state at once; a bus
that needs longer is met later."""

GC_ALLOCATIONS = 20_000
"""Objects made, less those freed, before the collector looks at the young ones. Requests make hardly
any cycles, and with Python's 700 it walks through those under way a hundred times a second."""


def run(options: RunOptions) -> int:
    """Run until stopped; returns 0 after a clean stop, else one of the EXIT statuses."""
    if options.worker is not None:
        identify(worker=options.worker.number)
    configure_logging(options.log_level or "INFO", options.log_format)
    raise_descriptor_limit()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(Process(options).run())
    finally:
        release_logs()


class Process:
    """A running process: what it opened, in the order it has to be closed."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._log = structlog.get_logger("quantum.process")
        self._clock = SystemClock()
        self._rooms = options.rooms - options.worker_rooms if options.workers else options.rooms
        self._metrics = process_registry(options.version, self._rooms)
        self._status = Status(options.version)
        self._ops = OpsServer(self._status, self._metrics)
        self._tasks = TaskSet("process", on_failure=lambda error: self.stop("task failed", error))
        self._switch = Switch(
            options.parse,
            metrics=self._metrics,
            log=self._log,
            on_broken=lambda error: self.stop("a room could not commit", error),
        )
        self._stop_wanted = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_unclean = False
        self._services: list[tuple[str, Service]] = []
        self._server: EmbeddedServer | None = None
        self._bus: NatsBus | None = None
        self._hop: OpenHop | None = None
        self._revisions: Revisions | None = None
        self._workers: Workers | None = None
        self._follower: Follower | None = None

    def stop(self, reason: str, failure: BaseException | None = None) -> None:
        """Begin to stop; a ``failure`` makes the exit status non-zero. Returns at once."""
        if failure is not None:
            self._failure = self._failure or failure
            self._log.error("process_failed", reason=reason, error=str(failure))
        elif not self._stop_wanted.is_set():
            self._log.info("stop_requested", reason=reason)
        self._stop_wanted.set()

    async def run(self) -> int:
        """Start, serve until asked to stop, stop; returns the exit status."""
        signals = Signals(self.stop, self._reload, self._log)
        lock = self._lock()
        try:
            make_private_dir(self._options.data_dir)
            lock.acquire()
        except (QuantumError, OSError) as error:
            self._tell_failed_start(error)
            return EXIT_FAILED
        signals.install()
        try:
            with _pidfile(self._options.pidfile):
                await self._start_or_stop()
                await self._stop_wanted.wait()
                await self._stop()
        except OSError as error:
            self._tell_failed_start(error)
            return EXIT_FAILED
        finally:
            signals.remove()
            lock.release()
        if self._failure is not None:
            return EXIT_FAILED
        return EXIT_UNCLEAN if self._is_unclean else EXIT_OK

    def _lock(self) -> DataDirLock:
        if self._options.worker is not None:
            return DataDirLock(self._options.data_dir, ())  # the parent holds it for its workers
        names = set(self._options.rooms)
        if self._options.nats is None:
            names.add("nats")
        return DataDirLock(self._options.data_dir, names)

    # Starting.

    async def _start_or_stop(self) -> None:
        """Start; a stop that is asked for meanwhile ends the start where it is."""
        starting = self._tasks.start(self._try_start(), "start")
        stopping = self._tasks.start(self._stop_wanted.wait(), "stop")
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        await asyncio.wait({starting})

    async def _try_start(self) -> None:
        started = time.monotonic()
        try:
            revision = await self._start()
        except (QuantumError, OSError, ValueError) as error:
            self._failure = error
            self._tell_failed_start(error)
            self._stop_wanted.set()
            return
        self._status.phase = State.RUNNING
        seconds = round(time.monotonic() - started, 3)
        self._log.info(
            "ready", revision=revision.id, ops=self._ops.address, seconds=seconds, pid=os.getpid()
        )
        if self._options.on_ready is not None:
            self._options.on_ready(revision)
        # What was made until now lives as long as the process: the collector need not look at it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)
        self._tasks.start(keep_trim(self._clock), "trim")

    def _tell_failed_start(self, error: Exception) -> None:
        problem, remedy = explained(error, f"the data directory {self._options.data_dir}")
        self._log.error("start_failed", error=f"{problem} ({remedy})" if remedy else problem)

    async def _start(self) -> Revision:
        options = self._options
        order = start_order(options.manifests, self._rooms)
        self._status.rooms = {manifest.room: State.NEW for manifest in order}
        self._log.info("starting", version=options.version, rooms=[m.room for m in order])
        if options.ops:
            try:
                await self._ops.listen(options.ops)
            except OSError as error:
                raise cannot_listen("--ops", options.ops, error) from error
        self._status.awaits = "the bus"
        bus = await self._open_bus()
        self._status.awaits = "the deployment's token"
        hop = await open_hop(
            bus,
            self._rooms,
            options.data_dir,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
            listen=options.hop or "",
            advertise=options.hop_advertise or "",
            parent=options.worker.parent if options.worker else "",
        )
        self._hop = hop
        self._status.awaits = "the rooms"
        for manifest in order:
            await self._start_room(manifest.room, manifest.service, bus, hop)
        taking_part: list[Preparing] = [Logging(options.log_level, options.log_format)]
        taking_part += [service for _, service in self._services]
        if options.workers:
            self._workers = self._make_workers()
            taking_part.append(self._workers)
        self._switch.use(taking_part)
        self._switch.on_applied.append(self._note_applied)
        self._status.awaits = "a configuration"
        if options.worker is not None:
            return await self._follow(options.worker)
        revision = await self._open_revisions(bus)
        if self._workers is not None:
            self._status.awaits = "the workers"
            await self._workers.start()
        return self._switch.active or revision

    async def _open_bus(self) -> NatsBus:
        options = self._options
        url, token = options.nats, options.nats_token
        if url is None:
            self._server = EmbeddedServer(options.data_dir, self._clock)
            await self._server.start()
            url, token = self._server.url, self._server.token
        name = f"quantum {','.join(sorted(self._rooms))} {PROCESS_ID}"
        bus = NatsBus(url, clock=self._clock, metrics=self._metrics, token=token, name=name)
        self._bus = bus
        self._status.bus_connected = lambda: bus.is_connected
        bus.start()
        if not await bus.wait_connected(BUS_SECONDS):
            self._log.warning(
                "start_without_bus",
                nats=bus.places,
                remedy="is NATS running there, and is --nats its address? It is used once it answers",
            )
        return bus

    async def _start_room(self, room: str, reference: str, bus: NatsBus, hop: OpenHop) -> None:
        context = ServiceContext(
            room=room,
            rooms=self._rooms,
            bus=bus,
            hop=hop.hop,
            clock=self._clock,
            registry=self._options.registry,
            metrics=self._metrics,
            log=structlog.get_logger(f"quantum.{room}").bind(room=room),
            data_dir=self._options.data_dir,
            switch=self._switch,
            stop_process=self.stop,
            worker=self._options.worker.number if self._options.worker else 0,
        )
        self._status.rooms[room] = State.STARTING
        try:
            service: Service = load(reference)(context)
            self._services.append((room, service))
            await service.start()
        except Exception as error:
            self._status.rooms[room] = State.FAILED
            is_expected = isinstance(error, QuantumError | OSError)  # the message says it all
            self._log.error("room_start_failed", room=room, exc_info=not is_expected)
            raise QuantumError(f"room {room} did not start: {error}") from error
        self._status.rooms[room] = State.RUNNING
        self._log.debug("room_started", room=room)

    def _make_workers(self) -> Workers:
        options = self._options
        server = self._server
        settings = partial(
            worker_settings,
            options,
            server.url if server is not None else options.nats or "",
            server.token if server is not None else options.nats_token,
        )
        workers = Workers(
            Crew(options.workers, options.worker_command, settings),
            lambda: self._switch.active,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
            on_failure=lambda error: self.stop("the workers' keeper failed", error),
        )
        self._switch.settled = workers.settled
        self._status.workers = workers
        self._status.worker_rooms = options.rooms & options.worker_rooms
        return workers

    async def _follow(self, worker: Worker) -> Revision:
        """Take the configuration from the parent, now and later; stop when the parent is gone."""
        channel = await Channel.open(worker.channel)
        self._status.revision = lambda: self._switch.active.id if self._switch.active else None
        self._follower = Follower(channel, self._switch, self._metrics, self._status, self._log)
        self._tasks.start(self._obey(self._follower), "obey")
        return await self._follower.first()

    async def _obey(self, follower: Follower) -> None:
        await follower.run()
        self.stop("the parent is gone", QuantumError("the parent is gone"))

    async def _open_revisions(self, bus: NatsBus) -> Revision:
        options = self._options
        self._status.revision = lambda: self._switch.active.id if self._switch.active else None
        self._revisions = Revisions(
            bus,
            self._switch,
            clock=self._clock,
            rooms=self._rooms,
            data_dir=options.data_dir,
            load=options.load,
            log=self._log,
        )
        revision = await self._revisions.start()
        if options.watch and options.config_file is not None:
            watching = watch_file(options.config_file, self._clock, self._revisions.reload)
            self._tasks.start(watching, "watch")
        return revision

    def _note_applied(self, revision: Revision) -> None:
        """Keep the revision, tell the deployment."""
        assert self._hop is not None
        if self._revisions is not None:
            self._revisions.keep(revision)
        self._tasks.start(self._hop.announce(revision.id), "announce")

    def _reload(self) -> None:
        if self._revisions is not None:
            self._tasks.start(self._revisions.reload(), "reload")

    # Stopping.

    async def _stop(self) -> None:
        """Undo the start, latest first; whatever fails, the rest is closed too."""
        grace = self._options.grace
        deadline = time.monotonic() + grace
        self._status.phase = State.STOPPING
        self._log.info("stopping", grace=grace)
        if self._revisions is not None:
            await self._close("revisions", self._revisions.aclose())
        await self._tasks.aclose()
        if self._workers is not None:  # they drain while all that they ask for is here
            left = _left(deadline)
            await self._close("workers", self._workers.stop(left), left)
        if self._hop is not None:  # no new requests of other processes; theirs under way end first
            await self._close("presence", self._hop.directory.withdraw())
            await self._close("hop", self._hop.server.aclose(_left(deadline)), _left(deadline))
        for room, service in reversed(self._services):
            self._status.rooms[room] = State.STOPPING
            left = _left(deadline)
            ended = await self._close(room, service.stop(left), left)
            self._status.rooms[room] = State.TERMINATED if ended else State.FAILED
        if self._hop is not None:
            await self._close("hop", self._hop.aclose(0.0))
        if self._bus is not None:
            await self._close("bus", self._bus.aclose())
        if self._server is not None:
            await self._close("nats-server", self._server.stop(), OVERTIME_SECONDS)
        await self._close("ops", self._ops.aclose())
        if self._follower is not None:
            await self._close("channel", self._follower.aclose())
        self._log.info("stopped")

    async def _close(self, what: str, closing: Awaitable[Any], seconds: float = 0.0) -> bool:
        """Await ``closing`` within ``seconds`` and the overtime; False when it failed."""
        try:
            async with asyncio.timeout(seconds + OVERTIME_SECONDS):
                await closing
        except Exception as error:  # noqa: BLE001 - everything else must still be closed
            self._log.error("stop_failed", what=what, exc_info=error)
            self._is_unclean = True
            return False
        return True


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


@contextlib.contextmanager
def _pidfile(path: Path | None) -> Any:
    """Keep the process id in ``path`` while the block runs; OSError when it cannot be written."""
    if path is None:
        yield
        return
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if int(path.read_text()) == os.getpid():
                path.unlink()
