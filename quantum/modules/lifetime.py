"""From a module's configuration to a living instance, and its end.

``Provision`` is what an implementation is handed when it is made: ``Implementation(config, provision)``.
It asks for what it needs by name; it never sees the whole configuration. What an instance opened it
registers with ``on_cleanup``; the lifetime closes in reverse order when its configuration retires.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from quantum.clock import Clock

if TYPE_CHECKING:
    import structlog
    from prometheus_client import CollectorRegistry

    from quantum.modules.config import ModuleConfig

Cleanup = Callable[[], Awaitable[None]]


class Lifetime:
    """What must be closed together. ``aclose`` runs all cleanups, latest first, whatever fails."""

    def __init__(self) -> None:
        self._cleanups: list[Cleanup] = []

    def on_cleanup(self, cleanup: Cleanup) -> None:
        """Run ``cleanup`` when this lifetime ends."""
        self._cleanups.append(cleanup)

    async def aclose(self) -> None:
        """End it; the first error is raised after all cleanups ran."""
        failure: Exception | None = None
        while self._cleanups:
            try:
                await self._cleanups.pop()()
            except Exception as error:  # noqa: BLE001 - raised below, after the others ran
                failure = failure or error
        if failure is not None:
            raise failure


@dataclass(frozen=True)
class Provision:
    """The surroundings of one instance.

    ``path`` is the JSON path of its configuration, ``revision`` the revision it belongs to.
    ``rooms`` holds what the room that makes the instance wants to hand its modules, by type (the
    proxy its upstream pool, edge its route compiler): ``provision.get(UpstreamPool)``.
    """

    path: str
    revision: str
    lifetime: Lifetime
    clock: Clock
    metrics: CollectorRegistry
    log: structlog.stdlib.BoundLogger
    resources: dict[type[Any], Any] = field(default_factory=dict)

    def get(self, kind: type[Any]) -> Any:
        """Return the room's resource of that type; KeyError is a defect of the room."""
        return self.resources[kind]

    def instantiate(self, module: ModuleConfig) -> Any:
        """Make the instance of another module (a nested one), living as long as this one."""
        implementation = module.spec.load_implementation()
        return implementation(module.config, replace(self, path=module.path))

    def on_cleanup(self, cleanup: Cleanup) -> None:
        """Run ``cleanup`` when the configuration that made this instance retires."""
        self.lifetime.on_cleanup(cleanup)
