"""The ops endpoint: for probes, for Prometheus, for ``quantum ready``.

``/livez`` 200 while the event loop turns; ``/readyz`` 200 when the process wants traffic, 503 with
the reasons otherwise; ``/metrics`` in Prometheus's or OpenMetrics' format, as asked; ``/services``.
A process with workers shows theirs as its own: figures are added up.
Nothing here changes anything, and nothing here is secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from quantum.hop.address import remove_socket, split_host, unix_path
from quantum.ids import PROCESS_ID
from quantum.service.api import State
from quantum.service.children.figures import Collected, Family, merge, take

SHUTDOWN_SECONDS = 1.0
"""Answers here take milliseconds; a scraper that lingers does not hold the stop."""


class Crewed(Protocol):
    """The workers of this process, as the endpoint asks for them."""

    @property
    def state(self) -> State:
        """What they are together."""

    async def describe(self) -> list[dict[str, Any]]:
        """Return what each is doing."""

    async def figures(self) -> list[list[Family]]:
        """Return the metrics of each."""


class Status:
    """What a process is doing, and its rooms: the runner writes it, the endpoint reads it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.phase = State.STARTING
        self.rooms: dict[str, State] = {}
        self.awaits = "start"
        self.revision: Callable[[], str | None] = lambda: None
        self.bus_connected: Callable[[], bool] = lambda: False
        self.workers: Crewed | None = None
        self.worker_rooms: frozenset[str] = frozenset()

    def obstacles(self) -> list[str]:
        """Return why the process should get no traffic; empty when it should."""
        reasons = []
        if self.phase is State.STARTING:
            reasons.append(f"starting: {self.awaits}")
        elif self.phase is not State.RUNNING:
            reasons.append(self.phase.value)
        reasons += [
            f"room {room} is {state.value}"
            for room, state in sorted(self._all_rooms().items())
            if state is not State.RUNNING
        ]
        return reasons

    def _all_rooms(self) -> dict[str, State]:
        """Return the rooms of this process and those of its workers."""
        if self.workers is None:
            return self.rooms
        return self.rooms | dict.fromkeys(self.worker_rooms, self.workers.state)

    def describe(self) -> dict[str, Any]:
        """Return what ``/services`` shows."""
        return {
            "process": PROCESS_ID,
            "version": self.version,
            "state": self.phase.value,
            "rooms": {room: state.value for room, state in sorted(self._all_rooms().items())},
            "revision": self.revision(),
            "bus": "connected" if self.bus_connected() else "away",
        }


class OpsServer:
    """Serves the ops endpoint of one process."""

    def __init__(self, status: Status, metrics: CollectorRegistry) -> None:
        self._status = status
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def listen(self, address: str) -> None:
        """Listen on ``host:port`` or ``unix//path``; ValueError or OSError when that cannot be."""
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/services", self._services)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        path = unix_path(address)
        if path is not None:
            remove_socket(address)
            await web.UnixSite(self._runner, path).start()
            self.address = address
            return
        host, port = split_host(address)
        await web.TCPSite(self._runner, host or None, port, reuse_address=True).start()
        self.address = f"{host}:{self._runner.addresses[0][1]}"

    async def aclose(self) -> None:
        """Stop serving. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = self._status.obstacles()
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return web.json_response(body, status=503 if reasons else 200)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        workers = self._status.workers
        shown: Any = self._metrics
        if workers is not None:
            shown = Collected(merge([take(self._metrics), *await workers.figures()]))
        return web.Response(body=encode(shown), headers={"Content-Type": content_type})

    async def _services(self, request: web.Request) -> web.Response:
        described = self._status.describe()
        if self._status.workers is not None:
            described["workers"] = await self._status.workers.describe()
        return web.json_response(described)
