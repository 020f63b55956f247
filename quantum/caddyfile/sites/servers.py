"""Pairings of listeners and sites to ``apps.http.servers``."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import State
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.routes import Groups, Route, Subroute, build, consolidate
from quantum.caddyfile.sites import connection_policies, logs
from quantum.caddyfile.sites.connection_policies import Policies
from quantum.caddyfile.sites.listeners import Pairing, ports, uses_other_port
from quantum.caddyfile.sites.site import Site, specificity
from quantum.caddyfile.values.encoding import compact, module
from quantum.caddyfile.values.sorting import stable_sort

FIELDS = (
    "listen", "listener_wrappers", "packet_conn_wrappers",
    "read_timeout", "read_header_timeout", "read_idle_timeout", "read_min_rate",
    "write_timeout", "write_idle_timeout", "write_min_rate", "max_write_chunk", "idle_timeout",
    "keepalive_interval", "keepalive_idle", "keepalive_count", "max_header_bytes",
    "enable_full_duplex", "expected_underscore_headers", "expected_dot_headers",
    "routes", "errors", "named_routes", "tls_connection_policies",
    "automatic_https", "strict_sni_host", "trusted_proxies", "client_ip_headers",
    "trusted_proxies_strict", "trusted_proxies_unix", "logs", "protocols", "listen_protocols",
    "metrics", "allow_0rtt",
)  # fmt: skip
"""The order of a server's fields."""

AUTO_HTTPS = (
    "disable", "disable_redirects", "disable_certificates", "skip", "skip_certificates",
    "ignore_loaded_certificates",
)  # fmt: skip
AUTO_HTTPS_WORDS = {
    "off": "disable",
    "disable_redirects": "disable_redirects",
    "disable_certs": "disable_certificates",
    "ignore_loaded_certs": "ignore_loaded_certificates",
}


def build_servers(pairings: list[Pairing], state: State, groups: Groups) -> dict[str, Any]:
    """Return the servers by name, their fields not yet in order."""
    return {
        f"srv{index}": ServerBuilder(index, pairing, state, groups).build()
        for index, pairing in enumerate(pairings)
    }


def in_order(server: dict[str, Any]) -> dict[str, Any]:
    """Return a server without its empty fields, in Caddy's order."""
    ordered = {name: server[name] for name in FIELDS if name in server}
    kept = {"logs", "errors", "automatic_https", "metrics", "strict_sni_host", "allow_0rtt"}
    always = {name: value for name, value in ordered.items() if value is not None and name in kept}
    rest = compact(**ordered)
    return {name: ordered[name] for name in ordered if name in rest or name in always}


class ServerBuilder:
    """Builds one server."""

    def __init__(self, index: int, pairing: Pairing, state: State, groups: Groups) -> None:
        self._index = index
        self._pairing = pairing
        self._state = state
        self._groups = groups
        self._http, self._https = ports(state.options)
        self._server: dict[str, Any] = {"listen": pairing.addresses}
        self._routes: list[Route] = []
        self._errors: list[Route] | None = None
        self._auto: dict[str, Any] | None = None
        self._policies = Policies(state.options, pairing.sites)
        self._qualifies = False
        self._adds_policy = True

    def build(self) -> dict[str, Any]:
        """Return the server."""
        sites = self._pairing.sites
        _refuse_ambiguous(sites)
        self._listen_protocols()
        self._automatic_https()
        stable_sort(sites, _is_more_specific)
        self._adds_policy = not (self._auto or {}).get("disable")
        server = self._server
        server["logs"] = {} if any(site.pile.get("custom_log") for site in sites) else None
        server["named_routes"] = self._named_routes()
        for site in sites:
            self._add_site(site)
        if server["logs"] is not None:
            logs.finish(server["logs"])
        policies = self._policies
        self._refuse_mixed_schemes(bool(policies.found))
        if self._qualifies and not policies.has_catch_all:
            policies.add_catch_all(needed=not self._adds_policy)
        server["tls_connection_policies"] = self._consolidated(policies.found)
        server["routes"] = [route.to_json() for route in consolidate(self._routes)]
        if self._errors is not None:
            server["errors"] = compact(routes=[route.to_json() for route in self._errors])
        if self._auto is not None:
            server["automatic_https"] = compact(
                **{name: self._auto.get(name) for name in AUTO_HTTPS}
            )
        return server

    def _consolidated(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            return connection_policies.consolidate(found)
        except CaddyfileError as error:
            raise CaddyfileError(
                f"consolidating TLS connection policies for server {self._index}: {error.problem}"
            ) from None

    def _listen_protocols(self) -> None:
        found = [protocols if any(protocols) else None for _, protocols in self._pairing.listeners]
        if any(found):
            self._server["listen_protocols"] = found

    def _automatic_https(self) -> None:
        for word in self._state.options.get("auto_https", ()):
            if word in AUTO_HTTPS_WORDS:
                self._auto = {**(self._auto or {}), AUTO_HTTPS_WORDS[word]: True}

    def _named_routes(self) -> dict[str, Any]:
        defined = self._state.options.get("named_routes", {})
        found: dict[str, Any] = {}
        waiting = [n for site in self._pairing.sites for n in site.pile.get("named_route", ())]
        while waiting:
            name = waiting.pop()
            if name not in defined:
                raise CaddyfileError(f"cannot invoke named route '{name}', which was not defined")
            if name not in found:
                route, invoked = defined[name]
                found[name] = route.to_json()
                waiting += invoked
        return dict(sorted(found.items()))

    def _add_site(self, site: Site) -> None:
        match = _matcher_sets(site)
        self._policies.add_site(site)
        for address in site.addresses:
            self._look_at(site, address)
        for wrapper in site.pile.get("listener_wrapper", ()):
            self._server.setdefault("listener_wrappers", []).append(wrapper)
        subroute = build(site.pile.get("route", []), self._groups, self._state.order)
        self._append(self._routes, subroute, match)
        self._add_errors(site, match)
        if self._server["logs"] is not None:
            logs.add_site(self._server["logs"], site)

    def _add_errors(self, site: Site, match: list[dict[str, Any]]) -> None:
        found: list[Subroute] | None = site.pile.get("error_route")
        if found is None:
            return
        # In place, and again for every server of the site, as Caddy does: equals change places.
        stable_sort(found, lambda a, b: bool(a.routes[0].match) or not b.routes[0].match)
        if self._errors is None:
            self._errors = []
        together = Subroute([route for subroute in found for route in subroute.routes])
        self._append(self._errors, together, match)

    def _append(self, routes: list[Route], subroute: Subroute, match: list[dict[str, Any]]) -> None:
        # Hosts of the outermost routes are taken for names that need certificates.
        names_hosts = any("host" in found for r in subroute.routes for found in r.match or ())
        if not match and len(self._pairing.sites) == 1 and not names_hosts:
            routes += subroute.routes
        elif match or subroute.routes:
            handle = [subroute.handler()] if subroute.routes else []
            routes.append(Route(match or None, handle, terminal=True))

    def _look_at(self, site: Site, address: Any) -> None:
        """Note what an address means for automatic HTTPS."""
        if (
            address.scheme == "http"
            and address.host
            and uses_other_port(self._server["listen"], self._http)
        ):
            self._auto = self._auto or {}
            skip = self._auto.setdefault("skip", [])
            if address.host not in skip:
                skip.append(address.host)
        enabled = bool(site.pile.get("tls.connection_policy")) or (
            address.host != "" and address.host not in (self._auto or {}).get("skip", ())
        )
        if address.scheme == "https" or (
            address.scheme != "http" and address.port != self._http and enabled
        ):
            self._qualifies = True
        self._adds_policy = self._adds_policy and (
            address.port == self._https or (address.port != self._http and address.host != "")
        )

    def _refuse_mixed_schemes(self, has_policies: bool) -> None:
        kind = ""
        listen = f"server listening on [{' '.join(self._server['listen'])}] is"
        for site in self._pairing.sites:
            for address in site.addresses:
                wanted = self._kind(address, has_policies)
                if not wanted:
                    continue
                if kind and kind != wanted:
                    hint = ""
                    if wanted == "HTTP" and not address.scheme and not address.host:
                        hint = " (try specifying https:// in the address)"
                    raise CaddyfileError(
                        f"{listen} configured for {kind} and cannot natively multiplex HTTP and "
                        f"HTTPS: {address.original}{hint}"
                    )
                if wanted == "HTTP" and has_policies:
                    raise CaddyfileError(
                        f"{listen} HTTP, but attempts to configure TLS connection policies"
                    )
                kind = wanted

    def _kind(self, address: Any, has_policies: bool) -> str:
        if address.scheme == "http" or address.port == self._http:
            return "HTTP"
        if address.scheme == "https" or address.port == self._https or has_policies:
            return "HTTPS"
        return "" if address.host else "HTTP"


def _refuse_ambiguous(sites: list[Site]) -> None:
    seen: dict[str, int] = {}
    for index, site in enumerate(sites):
        for key in site.key_texts:
            others = [other for other in sites if other is not site]
            if seen.setdefault(key, index) != index or any(key in o.key_texts for o in others):
                raise CaddyfileError(f"ambiguous site definition: {key}")


def _matcher_sets(site: Site) -> list[dict[str, Any]]:
    """Return the host and path matchers of a site's addresses."""
    pairs: list[tuple[list[str], str]] = []
    all_hosts = False
    for address in site.addresses:
        hosts = next((found for found, path in pairs if path == address.path), None)
        if hosts is None:
            hosts = []
            pairs.append((hosts, address.path))
        if not address.host and not all_hosts:
            hosts.clear()
            all_hosts = True
        if not all_hosts and address.host not in hosts:
            hosts.append(address.host)
    sets = [compact(host=hosts, path=[path] if path else []) for hosts, path in pairs]
    return [found for found in sets if found]


def _is_more_specific(a: Site, b: Site) -> bool:
    first, second = _specificity(a), _specificity(b)
    if first[0] == 0:
        return False
    if second[0] == 0:
        return True
    if first[2] != second[2]:
        return second[2] and not first[2]
    return first[1] > second[1] if first[0] == second[0] else first[0] > second[0]


def _specificity(site: Site) -> tuple[int, int, bool]:
    """Return how specific a site's longest host is, its longest path's length, and if wild."""
    host = path = ""
    wild = False
    for address in site.addresses:
        wild = wild or "*" in address.host or not address.host
        if specificity(address.host) > specificity(host):
            host = address.host
        if specificity(address.path) > specificity(path):
            path = address.path
    return specificity(host), len(path.encode()), wild


__all__ = ["build_servers", "in_order", "module"]
