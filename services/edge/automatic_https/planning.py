"""Automatic HTTPS: which servers speak TLS, for which names, and who is redirected there from HTTP.

Pure: a configuration in, a plan out. Source: Caddy's automatic HTTPS. A server takes part unless it
says ``disable`` or listens on the HTTP port alone. It speaks TLS when it has connection policies,
names in host matchers of its own routes, or listens on the HTTPS port alone; on every listener
except those on the HTTP port. Its names are redirected from the HTTP port: on the servers that listen there
already, behind their routes for particular hosts, else on a listener made for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from quantum.config.units import NetworkAddress
from quantum.modules.config import RouteConfig
from quantum.modules.hosts import host_names
from services.edge.config import HttpApp, Server

STANDARD_HTTPS_PORT = 443
"""The port that a URL leaves out (RFC 9110 §4.2.2)."""

_ILLEGAL = frozenset("()[]{}<> \t\n\"\\!@#$%^&|;'+=")
_INTERNAL_ZONES = ("localhost", "local", "internal", "home.arpa")


@dataclass(frozen=True)
class Redirect:
    """Requests over HTTP for ``hosts`` (none: any) go to HTTPS on ``port`` (0: the standard one)."""

    hosts: tuple[str, ...]
    port: int = 0


@dataclass(frozen=True)
class ServerPlan:
    """What one server does by itself.

    ``names`` need certificates. ``redirects`` are answered on its HTTP listeners by a route that stands
    before ``routes[position]``.
    """

    is_secure: bool = False
    names: tuple[str, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    position: int = 0


@dataclass(frozen=True)
class Plan:
    """The servers' plans by key, and the listeners that exist for redirects alone."""

    servers: dict[str, ServerPlan]
    listeners: dict[NetworkAddress, tuple[Redirect, ...]]


def plan(app: HttpApp) -> Plan:
    """Return what automatic HTTPS does with ``app``."""
    plans: dict[str, ServerPlan] = {}
    wanted: dict[NetworkAddress, dict[str, int]] = {}
    for key, server in app.servers.items():
        names = _names(server)
        is_secure = speaks_tls(app, server)
        plans[key] = ServerPlan(is_secure, _certified(server, names) if is_secure else ())
        if is_secure and not server.automatic_https.disable_redirects and _takes_part(app, server):
            _want_redirects(app, server, names, wanted)
    listeners: dict[NetworkAddress, tuple[Redirect, ...]] = {}
    for address, ports in _without_covered(wanted).items():
        redirects = _redirects(app, ports)
        there = [key for key, server in app.servers.items() if _listens_on(server, address)]
        if not there:
            listeners[address] = redirects
        for key in there:
            plans[key] = replace(
                plans[key],
                redirects=plans[key].redirects + redirects,
                position=behind_hosts(app.servers[key].routes),
            )
    return Plan(plans, listeners)


def speaks_tls(app: HttpApp, server: Server) -> bool:
    """Whether the server speaks TLS, on its listeners other than those on the HTTP port."""
    if server.tls_connection_policies:
        return True
    if not _takes_part(app, server):
        return False
    only_https = all(
        _is_tcp(a) and a.start_port == a.end_port == app.https_port for a in server.listen
    )
    return (bool(server.listen) and only_https) or bool(_names(server))


def is_secure_listener(app: HttpApp, server: ServerPlan, address: NetworkAddress) -> bool:
    """Whether TLS is spoken on one listener (of one port) of a server."""
    return server.is_secure and not (_is_tcp(address) and address.port == app.http_port)


def behind_hosts(routes: Sequence[RouteConfig]) -> int:
    """Return where redirects are inserted: behind the last route that has a host matcher."""
    return max(
        (i + 1 for i, r in enumerate(routes) if any("host" in s for s in r.match)), default=0
    )


def qualifies_for_certificate(name: str) -> bool:
    """Whether any authority, our own included, could certify ``name``."""
    return (
        bool(name)
        and not name.startswith(".")
        and not name.endswith(".")
        and ("*" not in name or name == "*" or (name.startswith("*.") and "*" not in name[1:]))
        and _ILLEGAL.isdisjoint(name)
    )


def is_public(name: str) -> bool:
    """Whether a public authority could certify ``name``; the others are for our own."""
    if not qualifies_for_certificate(name):
        return False
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        pass
    if any(name == zone or name.endswith("." + zone) for zone in _INTERNAL_ZONES):
        return False
    return "*" not in name or name.count(".") >= 2


def _takes_part(app: HttpApp, server: Server) -> bool:
    only_http = all(
        _is_tcp(a) and a.start_port == a.end_port == app.http_port for a in server.listen
    )
    return not server.automatic_https.disable and not only_http


def _is_tcp(address: NetworkAddress) -> bool:
    return not address.is_unix and not address.is_fd


def _names(server: Server) -> list[str]:
    if server.automatic_https.disable:
        return []
    skipped = set(map(str.lower, server.automatic_https.skip))
    return [name for name in host_names(server.routes) if name not in skipped]


def _certified(server: Server, names: Iterable[str]) -> tuple[str, ...]:
    settings = server.automatic_https
    if settings.disable_certificates:
        return ()
    skipped = set(map(str.lower, settings.skip_certificates))
    return tuple(n for n in names if n not in skipped and qualifies_for_certificate(n))


def _want_redirects(
    app: HttpApp,
    server: Server,
    names: Sequence[str],
    wanted: dict[NetworkAddress, dict[str, int]],
) -> None:
    """Note for each name (or "", any) the port to go to; the HTTPS port wins when there are several."""
    for address in server.listen:
        if not _is_tcp(address) or address.start_port == app.http_port:
            continue
        source = replace(address, start_port=app.http_port, end_port=app.http_port)
        ports = wanted.setdefault(source, {})
        for name in names or ("",):
            if ports.get(name) != app.https_port:
                covers_https = address.start_port <= app.https_port <= address.end_port
                ports[name] = app.https_port if covers_https else address.start_port


def _without_covered(
    wanted: dict[NetworkAddress, dict[str, int]],
) -> dict[NetworkAddress, dict[str, int]]:
    """Return what is wanted with single addresses left to the listener on all, which takes their port too."""
    kept: dict[NetworkAddress, dict[str, int]] = {}
    for address, ports in wanted.items():
        everywhere = replace(address, host="")
        kept.setdefault(everywhere if everywhere in wanted else address, {}).update(ports)
    return kept


def _redirects(app: HttpApp, ports: dict[str, int]) -> tuple[Redirect, ...]:
    """Group names by port: exact names before wildcards, the catch-all last."""
    grouped: dict[tuple[int, int], list[str]] = {}
    for name, port in ports.items():
        implicit = port in {app.http_port, app.https_port, STANDARD_HTTPS_PORT}
        rank = 2 if not name else 1 if "*" in name else 0
        grouped.setdefault((rank, 0 if implicit else port), []).append(name)
    return tuple(
        Redirect(tuple(name for name in names if name), port)
        for (_, port), names in sorted(grouped.items())
    )


def _listens_on(server: Server, address: NetworkAddress) -> bool:
    """Whether the server has the port: the system refuses a listener on all addresses beside its own."""
    return any(
        _is_tcp(own)
        and own.start_port <= address.port <= own.end_port
        and (own.host == address.host or "" in {own.host, address.host})
        for own in server.listen
    )
