"""What a room's service is: started once, handed each new configuration, stopped once.

A reload is a two-step swap. ``prepare`` builds everything the new configuration needs beside what
runs, and raises ConfigError if it cannot; nothing of it is visible yet. Then either ``commit`` of
every room (synchronous, MUST NOT fail, swaps references) or ``discard`` of every one. What the old
configuration leaves behind is drained by the room itself, in the background, after commit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.modules.config import ModuleConfig
from quantum.modules.registry import Registry

if TYPE_CHECKING:
    import structlog
    from prometheus_client import CollectorRegistry

    from quantum.hop.resolve import Hop


class State(enum.Enum):
    """The life of a service; FAILED ends the process."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    TERMINATED = "terminated"
    FAILED = "failed"


@dataclass(frozen=True)
class Revision:
    """One configuration, validated.

    ``id`` is the hash of ``document``: the same file gives the same revision in every process,
    with or without a bus.

    ``document`` is the full-format JSON (simple files were adapted), ``config`` the composed model
    (``services.config.QuantumConfig``); rooms read their own sections with ``section``.
    """

    id: str
    document: dict[str, Any]
    config: Any
    sections: dict[str, Any]
    modules: tuple[ModuleConfig, ...] = ()

    def section(self, path: str) -> Any:
        """Return the validated section of a room ("apps.http"), None when the document has none."""
        return self.sections.get(path)

    def handlers_of(self, room: str) -> list[ModuleConfig]:
        """Return the terminal handlers of this document that run in ``room``."""
        return [m for m in self.modules if m.spec.terminal and m.spec.room == room]


class Prepared(Protocol):
    """A configuration built and not yet in force."""

    def commit(self) -> None:
        """Swap it in. MUST NOT fail or wait."""

    async def discard(self) -> None:
        """Undo all that ``prepare`` did. MUST NOT disturb what runs."""


class Preparing(Protocol):
    """Takes part in changes of the configuration."""

    async def prepare(self, revision: Revision) -> Prepared:
        """Build ``revision`` beside what runs; ConfigError names what cannot be done and where."""


class Service(Preparing, Protocol):
    """One room in one process."""

    async def start(self) -> None:
        """Open what does not depend on configuration. Called once, after the rooms it needs."""

    async def stop(self, grace: float) -> None:
        """Take no new work, finish what runs within ``grace`` seconds, release everything."""


class ConfigSwitch(Protocol):
    """Changes the configuration of this process; the admin room and the watcher of revisions use it."""

    @property
    def active(self) -> Revision | None:
        """The revision in force."""

    def parse(self, document: Any) -> Revision:
        """Validate a document (simple or full); ConfigError when it is not valid."""

    async def apply(self, revision: Revision) -> None:
        """Prepare in every room of this process, then commit in all or discard in all."""


class StopProcess(Protocol):
    """Asks this process to stop, as SIGTERM would.

    With ``failure`` the process ends with a non-zero status: pass it as the ``on_failure`` of a TaskSet
    whose work the room cannot do without (``lambda error: context.stop_process("…", error)``).
    """

    def __call__(self, reason: str, failure: BaseException | None = None) -> None:
        """Begin the stop; returns at once."""


@dataclass(frozen=True)
class ServiceContext:
    """What every service is handed when it is made: ``Service(context)``. Nothing else is global.

    ``worker`` is the number of a process that shares its rooms with others of the same machine, 0 for
    one that does not. Workers share TCP ports; what cannot be shared (UDP and unix sockets) is worker
    1's alone.
    """

    room: str
    rooms: frozenset[str]
    bus: Bus
    hop: Hop
    clock: Clock
    registry: Registry
    metrics: CollectorRegistry
    log: structlog.stdlib.BoundLogger
    data_dir: Path
    switch: ConfigSwitch
    stop_process: StopProcess
    worker: int = 0
