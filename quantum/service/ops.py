"""The ops endpoint: for probes, for Prometheus, for ``quantum ready``.

``/livez`` 200 while the event loop turns; ``/readyz`` 200 when the process wants traffic, 503 with
the reasons otherwise; ``/metrics`` in Prometheus's or OpenMetrics' format, as asked; ``/services``.
Nothing here changes anything, and nothing here is secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from quantum.hop.address import remove_socket, split_host, unix_path
from quantum.ids import PROCESS_ID
from quantum.service.api import State

SHUTDOWN_SECONDS = 1.0
"""Answers here take milliseconds; a scraper that lingers does not hold the stop."""


class Status:
    """What a process is doing, and its rooms: the runner writes it, the endpoint reads it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.phase = State.STARTING
        self.rooms: dict[str, State] = {}
        self.awaits = "start"
        self.revision: Callable[[], str | None] = lambda: None
        self.bus_connected: Callable[[], bool] = lambda: False

    def obstacles(self) -> list[str]:
        """Return why the process should get no traffic; empty when it should."""
        reasons = []
        if self.phase is State.STARTING:
            reasons.append(f"starting: {self.awaits}")
        elif self.phase is not State.RUNNING:
            reasons.append(self.phase.value)
        reasons += [
            f"room {room} is {state.value}"
            for room, state in sorted(self.rooms.items())
            if state is not State.RUNNING
        ]
        return reasons

    def describe(self) -> dict[str, Any]:
        """Return what ``/services`` shows."""
        return {
            "process": PROCESS_ID,
            "version": self.version,
            "state": self.phase.value,
            "rooms": {room: state.value for room, state in sorted(self.rooms.items())},
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
        return web.Response(body=encode(self._metrics), headers={"Content-Type": content_type})

    async def _services(self, request: web.Request) -> web.Response:
        return web.json_response(self._status.describe())
