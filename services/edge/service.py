"""The edge room: entrypoints that live as long as their addresses, sites that live as long as a revision."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from quantum.config.units import NetworkAddress
from quantum.errors import BusUnavailable, ConfigError
from quantum.ids import PROCESS_ID
from quantum.modules.lifetime import Lifetime
from quantum.net.listen import KeepAlive, close_all, open_listeners, remedy
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet
from quantum.trust.pools import TrustedPools
from services.edge.admission import Admission
from services.edge.automatic_https import is_secure_listener, plan
from services.edge.automatic_https.challenges import ChallengeAnswers
from services.edge.certificates import CertificateStore
from services.edge.config import HttpApp, Server
from services.edge.entrypoint import Entrypoint, Surroundings
from services.edge.limiting.handler import RateLimits
from services.edge.limiting.sharing import SharedCounts
from services.edge.listening.sharing import SOLE, is_served_by
from services.edge.listening.wrapping import Wrapping, compile_wrapping
from services.edge.metrics import RequestMetrics
from services.edge.protocols import alpn_for
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.h3.listener import QuicSettings
from services.edge.protocols.host import Site
from services.edge.sites import SiteBuilder
from services.edge.tls.config import ConnectionPolicy
from services.edge.tls.policies import Policies
from services.edge.tracing.handler import Tracer

UNUSED_GRACE = 30.0
"""Seconds for the connections of an address that a new configuration no longer has, when it sets no
``grace_period``: Caddy waits for ever, and a forgotten WebSocket would then hold the port's state."""
RETIRED_SECONDS = 60.0
"""How long the modules of an old revision stay open: requests that began before it was replaced."""
HTTP_PORT = "apps.http.http_port"
"""The place in a configuration that listeners for redirects come from."""
POLICIES = ".tls_connection_policies["
"""In the path of everything that says how TLS is spoken."""
BUS_RETRY_SECONDS = 5.0
PREFETCH_SECONDS = 5.0
"""Certificates are fetched before a revision is taken into use, but a slow authority delays it no
longer than this: what is missing then is fetched when the first client asks."""


@dataclass(frozen=True)
class Listening:
    """What one address serves under one revision."""

    site: Site
    tls: Policies | None
    quic: QuicSettings | None
    keep_alive: KeepAlive
    path: str
    wrapping: Wrapping
    h2c: bool = False


class Opening:
    """What was opened for a revision that is not in use yet: entrypoints, and UDP ports beside old ones."""

    def __init__(self) -> None:
        self.entrypoints: dict[str, Entrypoint] = {}
        self.datagrams: dict[str, list[socket.socket]] = {}

    def close(self) -> None:
        """Give it up."""
        for entrypoint in self.entrypoints.values():
            entrypoint.stop_accepting()
        for sockets in self.datagrams.values():
            close_all(sockets)


class EdgeService:
    """A Service."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._tasks = TaskSet("edge")
        self._certificates = CertificateStore(context, self._tasks)
        self._pools = TrustedPools(context.hop)
        self._challenges = ChallengeAnswers(context.bus, context.clock)
        self._rate_limits = RateLimits(context.metrics)
        self._tracer = Tracer(context.metrics)
        self._counts = SharedCounts(self._rate_limits.zones, context.bus, context.clock, PROCESS_ID)
        self._metrics = RequestMetrics(context.metrics)
        self._admission = Admission(context.metrics, clock=context.clock)
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
        around = Surroundings(loop, Stamps(), self._admission, self._tasks, self._challenges)
        self._around = around
        around.deadlines.start()
        await self._certificates.start()
        self._tasks.start(self._hear_challenges(), "challenges")
        self._tasks.start(self._counts.run(), "counts")

    async def prepare(self, revision: Revision) -> Prepared:
        """Compile the servers, open the sockets that are new, fetch the certificates."""
        app: HttpApp = revision.section("apps.http") or HttpApp()
        await self._pools.fetch(m for m in revision.modules if POLICIES in m.path)
        lifetime = Lifetime()
        opened = Opening()
        try:
            wanted = self._listeners(app, revision, lifetime)
            names = await self._open(wanted, opened, app)
        except BaseException:
            opened.close()
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
        await self._counts.aclose()
        await self._certificates.aclose()
        await self._tasks.aclose()
        for lifetime in [*self._retired, self._lifetime]:
            await lifetime.aclose()
        await asyncio.to_thread(self._tracer.close)

    # Preparing.

    def _listeners(
        self, app: HttpApp, revision: Revision, lifetime: Lifetime
    ) -> dict[NetworkAddress, Listening]:
        builder = SiteBuilder(
            self._context, revision, lifetime, self._metrics, self._challenges, self._rate_limits,
            self._tracer,
        )  # fmt: skip
        automatic = plan(app)
        wanted: dict[NetworkAddress, Listening] = {}
        for name, server in app.servers.items():
            path = f"apps.http.servers.{name}"
            server_plan = automatic.servers[name]
            site = builder.build(name, server, server_plan, app)
            for index, listen in enumerate(server.listen):
                place = f"{path}.listen[{index}]"
                spoken = (
                    self._spoken(path, server, index) if server_plan.is_secure else (None, None)
                )
                for address in listen.expand():
                    if not is_served_by(self._context.worker, address, place):
                        continue
                    secure = is_secure_listener(app, server_plan, address)
                    policies, quic = spoken if secure else (None, None)
                    wrapping = compile_wrapping(server.listener_wrappers, is_secure=secure)
                    listening = Listening(
                        site,
                        policies,
                        quic,
                        _keep_alive(server),
                        place,
                        wrapping,
                        "h2c" in server.protocols_at(index),
                    )
                    _add(wanted, address, listening)
        for address, redirects in automatic.listeners.items():
            site = builder.redirects(redirects)
            _add(wanted, address, Listening(site, None, None, KeepAlive(), HTTP_PORT, Wrapping()))
        return wanted

    def _spoken(
        self, path: str, server: Server, index: int
    ) -> tuple[Policies, QuicSettings | None]:
        """Return how a secure server speaks on ``listen[index]``: TLS over TCP, and QUIC."""
        protocols = server.protocols_at(index)
        chosen = server.tls_connection_policies or [ConnectionPolicy()]
        try:
            policies = Policies(chosen, alpn_for(protocols), self._certificates, self._pools)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}.tls_connection_policies", str(error)) from error
        quic = QuicSettings(policies, allows_early=server.allow_0rtt)
        is_ip = not (server.listen[index].is_unix or server.listen[index].is_fd)
        return policies, quic if "h3" in protocols and is_ip else None

    async def _open(
        self,
        wanted: dict[NetworkAddress, Listening],
        opened: Opening,
        app: HttpApp,
    ) -> set[str]:
        """Open what no entrypoint has yet; return the names to have certificates for."""
        for address, listening in wanted.items():
            try:
                self._open_one(address, listening, opened)
            except OSError as error:
                problem = f"cannot listen on {address}: {error.strerror or error}"
                raise ConfigError(listening.path, problem, remedy(error)) from error
        automatic = plan(app)
        return {name for server in automatic.servers.values() for name in server.names}

    def _open_one(self, address: NetworkAddress, listening: Listening, opened: Opening) -> None:
        assert self._around is not None
        key = str(address)
        entrypoint = self._entrypoints.get(key)
        if entrypoint is None:
            entrypoint = opened.entrypoints[key] = Entrypoint(
                open_listeners(address, reuse_port=self._context.worker > 0),
                listening.site,
                listening.tls,
                listening.keep_alive,
                self._around,
            )
        if listening.quic is not None and not entrypoint.speaks_h3:
            # A worker without datagrams of its own still says that there is HTTP/3.
            has_them = self._context.worker in {0, SOLE}
            opened.datagrams[key] = entrypoint.open_datagrams() if has_them else []

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
        opened: Opening,
        lifetime: Lifetime,
    ) -> None:
        """Exchange sites, serve the new addresses, drain those that are gone."""
        current = self._entrypoints
        self._entrypoints = {}
        for address, listening in wanted.items():
            key = str(address)
            entrypoint = opened.entrypoints.get(key) or current.pop(key)
            entrypoint.site, entrypoint.tls = listening.site, listening.tls
            entrypoint.wrapping = listening.wrapping
            entrypoint.speaks_h2c = listening.h2c
            entrypoint.quic = listening.quic
            self._entrypoints[key] = entrypoint
            if key in opened.datagrams:
                entrypoint.serve_h3(opened.datagrams[key])
            elif entrypoint.speaks_h3 and listening.quic is None:
                entrypoint.leave_h3(app.grace_period or UNUSED_GRACE)
        for entrypoint in opened.entrypoints.values():
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
    opened: Opening
    lifetime: Lifetime

    def commit(self) -> None:
        """Take it."""
        self.service.take(self.app, self.wanted, self.opened, self.lifetime)

    async def discard(self) -> None:
        """Close what was opened for it."""
        self.opened.close()
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
