"""A ServiceContext for tests of one room: memory bus, manual clock, own metrics, own data directory.

    context = make_context("health", tmp_path)
    service = HealthService(context)
    await service.start()
    await context.switch.use(service)
    await context.switch.apply(revision)

Nothing here opens a socket. What would travel over the hop fails as an absent room does (503), unless
the test hands in ``make_remote``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from quantum.bus.memory import MemoryBus
from quantum.errors import ConfigError, HttpError
from quantum.hop.resolve import HandlerTable, Hop
from quantum.http.handler import Handler
from quantum.http.message import Request, Response
from quantum.modules.config import ModuleConfig
from quantum.modules.registry import Registry
from quantum.modules.spec import ModuleSpec
from quantum.service.api import Revision, Service, ServiceContext
from quantum.testing.clock import ManualClock

MakeRemote = Callable[[str, str, str], Handler]


class FakeSwitch:
    """A ConfigSwitch over the services a test names with ``use``; remembers what was applied."""

    def __init__(self, parse: Callable[[Any], Revision] | None = None) -> None:
        self._parse = parse
        self._services: list[Service] = []
        self.active: Revision | None = None
        self.applied: list[Revision] = []

    def use(self, *services: Service) -> None:
        """Prepare and commit in these services from now on."""
        self._services.extend(services)

    def parse(self, document: Any) -> Revision:
        """Validate with the parser that was handed in, else take the document as it is."""
        if self._parse is not None:
            return self._parse(document)
        if not isinstance(document, dict):
            raise ConfigError("", "must be an object")
        return make_revision(document=document)

    async def apply(self, revision: Revision) -> None:
        """Prepare in every service, commit in all; on a refusal discard what was prepared."""
        prepared = []
        try:
            for service in self._services:
                prepared.append(await service.prepare(revision))  # noqa: PERF401 - undone on failure
        except BaseException:
            for item in reversed(prepared):
                await item.discard()
            raise
        for item in prepared:
            item.commit()
        self.active = revision
        self.applied.append(revision)


class StopRecorder:
    """A StopProcess that notes the reasons it was called with."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.failures: list[BaseException] = []

    def __call__(self, reason: str, failure: BaseException | None = None) -> None:
        """Note ``reason`` and ``failure``."""
        self.reasons.append(reason)
        if failure is not None:
            self.failures.append(failure)


class _AbsentRoom:
    """The far end of a hop that nobody serves."""

    def __init__(self, room: str) -> None:
        self._room = room

    async def handle(self, request: Request) -> Response:
        raise HttpError(503, f"no process runs the room {self._room}")


@dataclass(frozen=True)
class TestContext(ServiceContext):
    """A ServiceContext whose parts show their test faces."""

    __test__ = False

    bus: MemoryBus
    clock: ManualClock
    switch: FakeSwitch
    stop_process: StopRecorder


def make_context(
    room: str,
    data_dir: Path,
    *,
    bus: MemoryBus | None = None,
    clock: ManualClock | None = None,
    rooms: frozenset[str] | None = None,
    registry: Registry | None = None,
    make_remote: MakeRemote | None = None,
    parse: Callable[[Any], Revision] | None = None,
    table: HandlerTable | None = None,
) -> TestContext:
    """Return a context for ``room``; give two of them one ``bus`` server or ``table`` to let them meet."""
    clock = clock or ManualClock()
    rooms = rooms or frozenset({room})
    table = table or HandlerTable()
    remote = make_remote or (lambda far, revision, path: _AbsentRoom(far))
    return TestContext(
        room=room,
        rooms=rooms,
        bus=bus or MemoryBus(clock=clock),
        hop=Hop(rooms, table, remote),
        clock=clock,
        registry=registry or Registry([]),
        metrics=CollectorRegistry(),
        log=structlog.get_logger("quantum." + room).bind(room=room),
        data_dir=data_dir,
        switch=FakeSwitch(parse),
        stop_process=StopRecorder(),
    )


def make_revision(
    id: str = "r1",
    *,
    document: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
    modules: tuple[ModuleConfig, ...] = (),
    config: Any = None,
) -> Revision:
    """Return a revision of ready-made parts, for tests below the composed configuration."""
    return Revision(id, document or {}, config, sections or {}, modules)


def make_module(
    spec: ModuleSpec, raw: dict[str, Any], path: str = "apps.http.servers.s.routes[0].handle[0]"
) -> ModuleConfig:
    """Return a validated reference to a module, as a configuration would hold it."""
    return ModuleConfig(spec, spec.load_config().parse(raw), path, raw)
