"""``logs`` of a server: which site logs to which logger, and which not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.sites.site import Site
from quantum.caddyfile.values.addresses import split_host_port
from quantum.caddyfile.values.encoding import compact

FIELDS = (
    "default_logger_name", "logger_names", "skip_hosts", "skip_unmapped_hosts",
    "should_log_credentials", "trace",
)  # fmt: skip


@dataclass(slots=True)
class NamedLog:
    """A log of a site or of the whole; ``log`` is None for one that goes the default way."""

    name: str
    log: dict[str, Any] | None
    hostnames: list[str] = field(default_factory=list)
    no_hostname: bool = False


def add_site(logs: dict[str, Any], site: Site) -> None:
    """Note where the requests of a site are logged."""
    found: list[NamedLog] = site.pile.get("custom_log", [])
    names = logs.setdefault("logger_names", {})
    for log in found:
        if log.no_hostname:
            continue
        if site.is_catch_all and not log.hostnames:
            logs["default_logger_name"] = log.name
            continue
        for host in log.hostnames or map(_without_port, site.log_hosts()):
            names.setdefault(host, []).append(log.name)
    if not found:
        if site.is_catch_all:
            logs["skip_unmapped_hosts"] = True
        logs.setdefault("skip_hosts", []).extend(site.log_hosts())


def _without_port(host: str) -> str:
    try:
        return split_host_port(host)[0]
    except CaddyfileError:
        return host


def finish(logs: dict[str, Any]) -> None:
    """Put the fields in order and leave out the empty ones."""
    if "skip_hosts" in logs:
        logs["skip_hosts"].sort()
    if "logger_names" in logs:
        logs["logger_names"] = dict(sorted(logs["logger_names"].items()))
    ordered = compact(**{name: logs.get(name) for name in FIELDS})
    logs.clear()
    logs.update(ordered)
