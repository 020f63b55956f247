"""The edge room: entrypoints that live as long as their addresses, sites that live as long as a revision."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from quantum.config.units import NetworkAddress
from quantum.errors import BusUnavailable, ConfigError
from quantum.modules.lifetime import Lifetime
from quantum.net.listen import KeepAlive, open_listeners
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet
from services.edge.admission import Admission
from services.edge.automatic_https import is_secure_listener, plan
from services.edge.certificates import CertificateStore
from services.edge.challenges import ChallengeAnswers
from services.edge.config import ConnectionPolicy, HttpApp, Server
from services.edge.entrypoint import Entrypoint, Surroundings
from services.edge.metrics import RequestMetrics
from services.edge.policies import Policies
from services.edge.protocols import alpn_for
from services.edge.protocols.deadlines import Deadlines
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.host import Site
from services.edge.sites import SiteBuilder

UNUSED_GRACE = 30.0
"""Seconds for the connections of an address that a new configuration no longer has, when it sets no
``grace_period``: Caddy waits for ever, and a forgotten WebSocket would then hold the port's state."""
RETIRED_SECONDS = 60.0
"""How long the modules of an old revision stay open: requests that began before it was replaced."""
BUS_RETRY_SECONDS = 5.0
PREFETCH_SECONDS = 5.0
"""Certificates are fetched before a revision is taken into use, but a slow authority delays it no
longer than this: what is missing then is fetched when the first client asks."""


@dataclass(frozen=True)
class Listening:
    """What one address serves under one revision."""

    site: Site
    tls: Policies | None
    keep_alive: KeepAlive
    path: str


class EdgeService:
    """A Service."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._tasks = TaskSet("edge")
        self._certificates = CertificateStore(context, self._tasks)
        self._challenges = ChallengeAnswers(context.bus)
        self._metrics = RequestMetrics(context.metrics)
        self._admission = Admission(context.metrics)
        self._entrypoints: dict[str, Entrypoint] = {}
        self._around: Surroundings | None = None
        self._lifetime = Lifetime()
        self._retired: set[Lifetime] = set()
        self._grace = 0.0
        self._delay = 0.0

    @property
    def entrypoints(self) -> dict[str, Entrypoint]:
        """The addresses that are served now, as configured, and what serves them."""
        return self._entrypoints

    async def start(self) -> None:
        """Begin to tick, and to hear of certificates and challenges."""
        loop = asyncio.get_running_loop()
        stamps = Stamps()
        deadlines = Deadlines(loop, stamps.refresh)
        self._around = Surroundings(loop, stamps, deadlines, self._admission, self._tasks)
        deadlines.start()
        await self._certificates.start()
        self._tasks.start(self._hear_challenges(), "challenges")

    async def prepare(self, revision: Revision) -> Prepared:
        """Compile the servers, open the sockets that are new, fetch the certificates."""
        app: HttpApp = revision.section("apps.http") or HttpApp()
        lifetime = Lifetime()
        opened: dict[str, Entrypoint] = {}
        try:
            wanted = self._listeners(app, revision, lifetime)
            names = await self._open(wanted, opened, app)
        except BaseException:
            for entrypoint in opened.values():
                entrypoint.stop_accepting()
            await lifetime.aclose()
            raise
        await self._prefetch(names)
        return _Swap(self, app, wanted, opened, lifetime)

    async def stop(self, grace: float) -> None:
        """Close the sockets, let requests end within ``grace``, then cut what is left."""
        if self._delay:  # clients and balancers still find us, and time to go elsewhere
            await asyncio.sleep(min(self._delay, grace))
        entrypoints, self._entrypoints = self._entrypoints, {}
        grace = min(grace, self._grace) if self._grace else grace
        cut = await asyncio.gather(*(e.drain(grace) for e in entrypoints.values()))
        if sum(cut):
            self._context.log.warning("connections_cut", count=sum(cut), grace=grace)
        if self._around is not None:
            self._around.deadlines.stop()
        await self._challenges.aclose()
        await self._certificates.aclose()
        await self._tasks.aclose()
        for lifetime in [*self._retired, self._lifetime]:
            await lifetime.aclose()

    # Preparing.

    def _listeners(
        self, app: HttpApp, revision: Revision, lifetime: Lifetime
    ) -> dict[NetworkAddress, Listening]:
        builder = SiteBuilder(self._context, revision, lifetime, self._metrics, self._challenges)
        automatic = plan(app)
        wanted: dict[NetworkAddress, Listening] = {}
        for name, server in app.servers.items():
            path = f"apps.http.servers.{name}"
            server_plan = automatic.servers[name]
            site = builder.build(name, server, server_plan, app)
            policies = self._policies(server) if server_plan.is_secure else None
            for index, listen in enumerate(server.listen):
                place = f"{path}.listen[{index}]"
                for address in listen.expand():
                    secure = is_secure_listener(app, server_plan, address)
                    listening = Listening(
                        site, policies if secure else None, _keep_alive(server), place
                    )
                    _add(wanted, address, listening)
        for address, redirects in automatic.listeners.items():
            site = builder.redirects(redirects)
            _add(wanted, address, Listening(site, None, KeepAlive(), "apps.http.http_port"))
        return wanted

    def _policies(self, server: Server) -> Policies:
        policies = server.tls_connection_policies or [ConnectionPolicy()]
        return Policies(policies, alpn_for(server.protocols), self._certificates)

    async def _open(
        self,
        wanted: dict[NetworkAddress, Listening],
        opened: dict[str, Entrypoint],
        app: HttpApp,
    ) -> set[str]:
        """Open what no entrypoint has yet; return the names to have certificates for."""
        assert self._around is not None
        for address, listening in wanted.items():
            if str(address) in self._entrypoints:
                continue
            try:
                sockets = open_listeners(address)
            except OSError as error:
                problem = f"cannot listen on {address}: {error.strerror or error}"
                raise ConfigError(
                    listening.path, problem, "is the port free, and allowed?"
                ) from error
            opened[str(address)] = Entrypoint(
                sockets, listening.site, listening.tls, listening.keep_alive, self._around
            )
        automatic = plan(app)
        return {name for server in automatic.servers.values() for name in server.names}

    async def _prefetch(self, names: set[str]) -> None:
        missing = [name for name in sorted(names) if not self._certificates.has(name)]
        if missing:
            fetches = [self._tasks.start(self._certificates.obtain(n), "prefetch") for n in missing]
            await asyncio.wait(fetches, timeout=PREFETCH_SECONDS)

    async def _hear_challenges(self) -> None:
        while True:
            try:
                await self._challenges.start()
            except BusUnavailable as error:
                self._context.log.warning("challenges_unheard", reason=str(error))
                await self._context.clock.sleep(BUS_RETRY_SECONDS)
            else:
                return

    # Taking a revision into use.

    def take(
        self,
        app: HttpApp,
        wanted: dict[NetworkAddress, Listening],
        opened: dict[str, Entrypoint],
        lifetime: Lifetime,
    ) -> None:
        """Exchange sites, serve the new addresses, drain those that are gone."""
        current = self._entrypoints
        self._entrypoints = {}
        for address, listening in wanted.items():
            key = str(address)
            entrypoint = opened[key] if key in opened else current.pop(key)
            entrypoint.site, entrypoint.tls = listening.site, listening.tls
            self._entrypoints[key] = entrypoint
        for entrypoint in opened.values():
            self._tasks.start(entrypoint.serve(), "serve")
        self._grace, self._delay = app.grace_period, app.shutdown_delay
        for entrypoint in current.values():
            self._tasks.start(entrypoint.drain(app.grace_period or UNUSED_GRACE), "drain")
        old, self._lifetime = self._lifetime, lifetime
        self._retired.add(old)
        self._tasks.start(self._retire(old), "retire")

    async def _retire(self, lifetime: Lifetime) -> None:
        await self._context.clock.sleep(RETIRED_SECONDS)
        self._retired.discard(lifetime)
        await lifetime.aclose()


@dataclass(frozen=True)
class _Swap:
    """A prepared revision."""

    service: EdgeService
    app: HttpApp
    wanted: dict[NetworkAddress, Listening]
    opened: dict[str, Entrypoint]
    lifetime: Lifetime

    def commit(self) -> None:
        """Take it."""
        self.service.take(self.app, self.wanted, self.opened, self.lifetime)

    async def discard(self) -> None:
        """Close what was opened for it."""
        for entrypoint in self.opened.values():
            entrypoint.stop_accepting()
        await self.lifetime.aclose()


def _add(
    wanted: dict[NetworkAddress, Listening], address: NetworkAddress, listening: Listening
) -> None:
    if address in wanted:
        problem = f"{address} is listened on twice"
        raise ConfigError(listening.path, problem, f"see {wanted[address].path}")
    wanted[address] = listening


def _keep_alive(server: Server) -> KeepAlive:
    return KeepAlive(server.keepalive_idle, server.keepalive_interval, server.keepalive_count)
