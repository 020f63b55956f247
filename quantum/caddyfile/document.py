"""The whole document: apps, logging, storage and admin from pairings and options."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import State
from quantum.caddyfile.modules.logs import in_order
from quantum.caddyfile.options import servers
from quantum.caddyfile.routes import Groups
from quantum.caddyfile.sites.automation import build_tls
from quantum.caddyfile.sites.listeners import Pairing
from quantum.caddyfile.sites.logs import NamedLog
from quantum.caddyfile.sites.servers import build_servers
from quantum.caddyfile.sites.servers import in_order as server_in_order
from quantum.caddyfile.values.encoding import compact

AUTHORITY = (
    "name", "root_common_name", "intermediate_common_name", "intermediate_lifetime",
    "install_trust", "root", "intermediate", "maintenance_interval", "renewal_window_ratio",
)  # fmt: skip
DEFAULT = "default"


def build_document(pairings: list[Pairing], state: State, groups: Groups) -> dict[str, Any]:
    """Return the document, in the order of Caddy's fields."""
    options = state.options
    found = servers.apply(build_servers(pairings, state, groups), options)
    metrics = _metrics(found, options)
    apps = {
        "http": _http(found, metrics, options) if found else None,
        "pki": compact(certificate_authorities=_authorities(pairings, options)),
        "tls": build_tls(pairings, options),
    }
    return compact(
        admin=_admin(options),
        logging=compact(logs=_logs(pairings, options)),
        storage=options.get("storage"),
        apps=compact(**apps),
    )


def _http(
    found: dict[str, Any], metrics: dict[str, Any] | None, options: dict[str, Any]
) -> dict[str, Any]:
    made = compact(
        http_port=options.get("http_port"),
        https_port=options.get("https_port"),
        grace_period=options.get("grace_period"),
        shutdown_delay=options.get("shutdown_delay"),
        servers={name: server_in_order(server) for name, server in found.items()},
    )
    return made if metrics is None else {**made, "metrics": metrics}


def _metrics(found: dict[str, Any], options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the metrics of all servers: those of one are the whole program's."""
    metrics: dict[str, Any] | None = options.get("metrics")
    for server in found.values():
        own = server.pop("metrics", None)
        if own is not None:
            metrics = compact(per_host=bool((metrics or {}).get("per_host") or own.get("per_host")))
    return metrics


def _authorities(pairings: list[Pairing], options: dict[str, Any]) -> dict[str, Any]:
    """Return the authorities that something names; with ``skip_install_trust`` those in use too."""
    found = dict(options.get("pki") or {})
    for name in _piled(pairings, "pki.ca"):
        found.setdefault(name, {})
    trusts_not = "skip_install_trust" in options
    if not found and trusts_not and "off" not in options.get("auto_https", ()):
        found["local"] = {}
    for issuer in _piled(pairings, "tls.cert_issuer") if trusts_not else ():
        if issuer["module"] == "internal":
            found.setdefault(issuer.get("ca") or "local", {})
    made = {}
    for name, authority in sorted(found.items()):
        shown = {**authority, "install_trust": False} if trusts_not else authority
        made[name] = {key: shown[key] for key in AUTHORITY if key in shown}
    return made


def _piled(pairings: list[Pairing], kind: str) -> list[Any]:
    """Return what the directives of all sites gave of one kind."""
    return [value for p in pairings for site in p.sites for value in site.pile.get(kind, ())]


def _admin(options: dict[str, Any]) -> dict[str, Any]:
    given = options.get("admin") or {}
    order = ("disabled", "listen", "enforce_origin", "origins")
    made = compact(**{name: given.get(name) for name in order})
    if options.get("persist_config") == "off":
        made["config"] = {"persist": False}
    return made


def _logs(pairings: list[Pairing], options: dict[str, Any]) -> dict[str, Any]:
    """Return the logs by name; the default one leaves out what others take."""
    found: list[NamedLog] = [log for log in options.get("log", ()) if log.name]
    debug = "debug" in options
    if debug and not any(log.name == DEFAULT for log in found):
        found.append(NamedLog(DEFAULT, {}))
    for pairing in pairings:
        for site in pairing.sites:
            found += [log for log in site.pile.get("custom_log", ()) if log.name]
    logs: dict[str, dict[str, Any]] = {}
    for named in found:
        if named.log is not None:
            level = {} if named.log.get("level") or not debug else {"level": "DEBUG"}
            logs.setdefault(named.name, {**named.log, **level})
            if named.name != DEFAULT:
                logs[named.name] = {**named.log, **level}
    _exclude(found, logs)
    return {name: in_order(log) for name, log in sorted(logs.items())}


def _exclude(found: list[NamedLog], logs: dict[str, dict[str, Any]]) -> None:
    for named in found:
        if named.name != DEFAULT and named.log is not None and named.log.get("include"):
            default = logs.setdefault(DEFAULT, {})
            taken = {*default.get("exclude", ()), *named.log["include"]}
            default["exclude"] = sorted(taken)
