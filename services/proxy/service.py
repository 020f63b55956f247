"""The proxy room in one process: the upstreams it knows, their standings, the handlers in use."""

from __future__ import annotations

from typing import Any

from quantum.hop.resolve import SERVICE_REVISION
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.service.handlers import HandlerRoom
from quantum.trust.upstreams import UpstreamTrust
from services.proxy.handler import ReverseProxy
from services.proxy.judging.figures import Exchange, UpstreamCollector
from services.proxy.judging.report import Report, UpstreamReport
from services.proxy.observations import Observations
from services.proxy.standing import Standings
from services.proxy.upstreams import Upstreams

DRAIN_POLL_SECONDS = 0.05
"""How often a stopping room looks whether its last request has ended."""


class ProxyService:
    """Makes the room's handlers and answers the admin room's question for the upstreams' state."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._upstreams = Upstreams()
        self._standings = Standings(context.bus, context.clock)
        self._observations = Observations(context.bus)
        self._trust = UpstreamTrust(context)
        self._room = HandlerRoom(
            context,
            {
                UpstreamTrust: self._trust,
                Upstreams: self._upstreams,
                Standings: self._standings,
                Observations: self._observations,
            },
        )
        self._figures = Exchange(self._upstreams, context.bus, context.clock)
        self._report = Report(self._figures, context.clock)
        UpstreamCollector(self._upstreams, context.metrics)
        self._revision: Revision | None = None

    async def start(self) -> None:
        """Watch the standings; offer ``upstreams`` to other rooms."""
        await self._standings.start()
        await self._figures.start()
        report = UpstreamReport(self.report)
        self._context.hop.table.install("proxy", SERVICE_REVISION, {"upstreams": report})

    async def prepare(self, revision: Revision) -> Prepared:
        """Make the proxies of ``revision``."""
        await self._trust.prepare(revision)
        prepared = await self._room.prepare(revision)
        return _Swap(self, revision, prepared)

    def take(self, revision: Revision) -> None:
        """Report on the upstreams of ``revision`` from now on."""
        self._revision = revision

    async def stop(self, grace: float) -> None:
        """Let requests under way end, for ``grace`` seconds at most; then close everything."""
        clock = self._context.clock
        end = clock.monotonic() + grace
        while clock.monotonic() < end and any(upstream.in_flight for upstream in self._upstreams):
            await clock.sleep(DRAIN_POLL_SECONDS)
        self._context.hop.table.retire("proxy", SERVICE_REVISION)
        await self._room.aclose()
        await self._standings.aclose()
        await self._observations.aclose()
        await self._figures.aclose()
        await self._trust.aclose()

    def report(self) -> list[dict[str, Any]]:
        """Return the state of every upstream of the active configuration, once per address."""
        return self._report.rows(self._rosters())

    def _rosters(self) -> Any:
        if self._revision is None:
            return
        for module in self._revision.handlers_of("proxy"):
            handler = self._context.hop.table.find("proxy", self._revision.id, module.path)
            if isinstance(handler, ReverseProxy):
                yield handler.roster


class _Swap:
    """The room's part of a prepared revision."""

    def __init__(self, service: ProxyService, revision: Revision, prepared: Prepared) -> None:
        self._service = service
        self._revision = revision
        self._prepared = prepared

    def commit(self) -> None:
        """Take the handlers into use."""
        self._prepared.commit()
        self._service.take(self._revision)

    async def discard(self) -> None:
        """Drop them."""
        await self._prepared.discard()
