"""From one server of a configuration to a Site: its routes compiled, its bounds, what it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from quantum.connection.h2 import WRITE_BYTES
from quantum.errors import ConfigError, HttpError, unusable
from quantum.http.failure import response_of
from quantum.http.forwarding import ClientAddress
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.route import RouteCompiler
from quantum.modules.config import ModuleConfig
from quantum.modules.hosts import host_names
from quantum.modules.lifetime import Lifetime, Provision
from quantum.service.api import Revision, ServiceContext
from quantum.telemetry.access import AccessLog
from services.edge.automatic_https import Redirect, ServerPlan
from services.edge.automatic_https.challenges import PREFIX, ChallengeAnswers
from services.edge.automatic_https.redirects import compile_server, redirecting
from services.edge.bodies.timeouts import RoutePaces
from services.edge.config import HttpApp, Server
from services.edge.expected import expecting
from services.edge.handlers.subroute import NamedRoutes
from services.edge.limiting.handler import RateLimits
from services.edge.metrics import RequestMetrics
from services.edge.protocols.host import Exchange, Limits, Site
from services.edge.protocols.pace import LOOK_SECONDS, Pace
from services.edge.proxying.border import BorderedProxy
from services.edge.templates.handler import ServerChain
from services.edge.tracing.handler import Tracer

_trace_log = structlog.get_logger("http.log.trace")

REDIRECTS = "remaining_auto_https_redirects"
"""Caddy's name for the server that nobody configured."""


@dataclass(frozen=True)
class SiteBuilder:
    """Makes the sites of one revision; their modules live as long as ``lifetime``."""

    context: ServiceContext
    revision: Revision
    lifetime: Lifetime
    metrics: RequestMetrics
    challenges: ChallengeAnswers
    rate_limits: RateLimits
    tracer: Tracer

    def build(self, name: str, server: Server, plan: ServerPlan, app: HttpApp) -> Site:
        """Compile one server; ConfigError names the module that cannot be made."""
        resources: dict[type[Any], Any] = {RateLimits: self.rate_limits, Tracer: self.tracer}
        compiler = RouteCompiler(
            lambda module: self._handler(module, resources),
            lambda module: self._instance(module, resources),
            _trace if server.logs is not None and server.logs.trace else None,
        )
        resources[RouteCompiler] = compiler
        paces = resources[RoutePaces] = RoutePaces()
        resources[NamedRoutes] = NamedRoutes(server.named_routes)
        own: ServerChain = resources.setdefault(ServerChain, ServerChain())
        handle = own.handle = compile_server(compiler, server, plan)
        client = _client_address(name, server)
        return Site(
            name=name,
            handle=self.answering_challenges(handle),
            fail=response_to_failure,
            limits=_limits(server, paces.shortest),
            before=_before(client, server),
            ended=self._ended(name, server, app),
            trusts=client.trusts,
        )

    def redirects(self, redirects: tuple[Redirect, ...]) -> Site:
        """Return the site of a listener that exists for redirects alone."""
        handle = self.answering_challenges(redirecting(redirects))
        return Site(REDIRECTS, handle, response_to_failure, _limits(Server(), LOOK_SECONDS))

    def answering_challenges(self, following: Next) -> Next:
        """Return a chain that answers the authority's questions before its routes are asked."""
        challenges = self.challenges

        def first(request: Request) -> Awaitable[Response]:
            if request.path.startswith(PREFIX):
                answer = challenges.answer(request)
                if answer is not None:
                    return _ready(answer)
            return following(request)

        return first

    def _handler(self, module: ModuleConfig, resources: dict[type[Any], Any]) -> Any:
        if module.spec.room == self.context.room:
            return self._instance(module, resources)
        handler = self.context.hop.handler(module.spec.room, self.revision.id, module.path)
        border = getattr(module.config, "border", None)
        if border is None:
            return handler
        compiler = resources[RouteCompiler]
        make = partial(self._instance, resources=resources)
        return BorderedProxy(module, border, handler, compiler, make)

    def _instance(self, module: ModuleConfig, resources: dict[type[Any], Any]) -> Any:
        provision = Provision(
            path=module.path,
            revision=self.revision.id,
            lifetime=self.lifetime,
            clock=self.context.clock,
            metrics=self.context.metrics,
            log=self.context.log.bind(module=module.spec.id),
            resources=resources,
        )
        try:
            return provision.instantiate(module)
        except (OSError, ValueError) as error:
            raise unusable(module.path, error) from error

    def _ended(self, name: str, server: Server, app: HttpApp) -> Callable[[Exchange], None] | None:
        listeners: list[Callable[[Exchange], None]] = []
        metrics = app.request_metrics
        if metrics is not None:
            listeners.append(self.metrics.observer(name))
            if metrics.per_host:
                hosts = [h for s in app.servers.values() for h in host_names(s.routes)]
                catches_all = metrics.observe_catchall_hosts
                listeners.append(self.metrics.host_observer(name, hosts, catches_all))
        if server.logs is not None:
            listeners.append(_access_observer(server))
        if not listeners:
            return None
        if len(listeners) == 1:
            return listeners[0]

        def ended(exchange: Exchange) -> None:
            for listener in listeners:
                listener(exchange)

        return ended


def _trace(module: ModuleConfig, request: Request) -> None:
    """Log that a handler is asked: where it is configured, not what its configuration says."""
    _trace_log.debug(module.spec.name, path=module.path, request_id=request.id)


async def _ready(response: Response) -> Response:
    return response


async def response_to_failure(request: Request, error: Exception) -> Response:
    """Answer what no error route did."""
    return response_of(error, request)


def _limits(server: Server, shortest_of_routes: float) -> Limits:
    header, read = server.read_header_timeout, server.read_timeout
    return Limits(
        max_head_bytes=server.max_header_bytes,
        header=min(header, read) if header > 0 and read > 0 else max(header, read),
        idle=server.idle_timeout or server.read_header_timeout,
        read=Pace(server.read_idle_timeout, read, server.read_min_rate),
        write=Pace(server.write_idle_timeout, server.write_timeout, server.write_min_rate),
        shortest_of_routes=shortest_of_routes,
        write_chunk=server.max_write_chunk or WRITE_BYTES,
    )


def _client_address(name: str, server: Server) -> ClientAddress:
    module = server.trusted_proxies
    try:
        return ClientAddress(
            module.config.ranges if module is not None else (),
            strict=server.trusted_proxies_strict > 0,
            unix=server.trusted_proxies_unix,
            fields=server.client_ip_headers,
        )
    except ValueError as error:
        path = f"apps.http.servers.{name}.trusted_proxies.ranges"
        raise ConfigError(path, str(error)) from error


def _before(client: ClientAddress, server: Server) -> Callable[[Request], None] | None:
    """Return what looks at each request first, None when there is nothing to see."""
    checks: list[Callable[[Request], None]] = []
    expected = expecting(server.expected_underscore_headers, server.expected_dot_headers)
    if expected is not None:
        checks.append(expected)
    if not client.trusts_nobody:
        checks.append(client.resolve)
    is_strict = server.strict_sni_host
    if is_strict is None:  # who is known by a certificate for one name is not known for another
        is_strict = any(policy.authenticates for policy in server.tls_connection_policies)
    if is_strict:
        checks.append(_check_sni)
    if len(checks) < 2:
        return next(iter(checks), None)

    def before(request: Request) -> None:
        for check in checks:
            check(request)

    return before


def _check_sni(request: Request) -> None:
    """Refuse a request whose Host is not the name of its handshake (RFC 9110 §7.4)."""
    tls = request.connection.tls
    if tls is not None and _host_of(request.authority) != tls.server_name:
        raise HttpError(421, f"Host {request.authority!r} on a connection to {tls.server_name!r}")


def _host_of(authority: str) -> str:
    host = authority.rpartition(":")[0] if authority.rpartition(":")[2].isdigit() else authority
    return host.strip("[]").lower()


def _access_observer(server: Server) -> Callable[[Exchange], None]:
    logs = server.logs
    assert logs is not None
    log = AccessLog(
        default_logger=logs.default_logger_name,
        loggers=logs.logger_names,
        skip_hosts=logs.skip_hosts,
        skip_unmapped_hosts=logs.skip_unmapped_hosts,
        with_credentials=logs.should_log_credentials,
    )

    def observe(exchange: Exchange) -> None:
        log.record(
            exchange.request, exchange.response, exchange.status, exchange.sent, exchange.seconds
        )

    return observe
