"""The simple format: five keys that say what is served and where, turned into the full format.

    {"proxy": {"localhost:3000": ":8080"}, "static_files": {"./public": "app.example.com"},
     "file_sync": {"./sync-data": ":8082"}, "tls": "auto", "admin_port": ":2019"}

What goes on one place is combined: several proxies are one balanced pool; ``file_sync`` takes
``/api/*`` and ``/ws``, ``static_files`` the files that exist, ``proxy`` the rest. What stays
ambiguous is refused with both keys named. The result is a plain document; nothing downstream knows
which format it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.site import Place, parse_place
from quantum.config.units import NetworkAddress, WeakString
from quantum.errors import ConfigError

KINDS = ("file_sync", "static_files", "proxy")
SIMPLE_KEYS = frozenset({*KINDS, "tls", "admin_port"})
HTTP_PORT, HTTPS_PORT = 80, 443
SYNC_PATHS = ["/api/*", "/ws"]

MAX_FAILS = 3
FAIL_DURATION = "30s"
"""A pool leaves an upstream out for 30 s once three requests to it failed within that time."""


class SimpleConfig(StrictModel):
    """The document as written; every key may be absent, but not all three maps."""

    proxy: dict[str, str] = Field(default_factory=dict)
    static_files: dict[str, str] = Field(default_factory=dict)
    file_sync: dict[str, str] = Field(default_factory=dict)
    tls: str = "auto"
    admin_port: WeakString = ""

    @field_validator("tls")
    @classmethod
    def _is_mode(cls, value: str) -> str:
        if not value.strip():
            raise ValueError('must be "auto", "off" or a directory with certificates')
        return value


@dataclass(frozen=True)
class Entry:
    """One thing to serve: ``kind`` and ``key`` as written, and where."""

    kind: str
    key: str
    place: Place

    @property
    def path(self) -> str:
        """Where it stands in the document."""
        return f'{self.kind}["{self.key}"]'


def is_simple(document: Any) -> bool:
    """Whether ``document`` is in the simple format: one of its keys, and no ``apps``."""
    if not isinstance(document, dict):
        return False
    keys = {str(key).lower() for key in document}
    return bool(keys & SIMPLE_KEYS) and "apps" not in keys


def adapt(document: Any) -> dict[str, Any]:
    """Return the full-format equivalent of a simple document; ConfigError when it is not a valid one."""
    config = SimpleConfig.parse(document)
    entries = [
        Entry(kind, key, parse_place(value, f'{kind}["{key}"]', config.tls))
        for kind in KINDS
        for key, value in getattr(config, kind).items()
    ]
    if not entries:
        raise ConfigError("", "nothing to serve", f"add one of {', '.join(sorted(KINDS))}")
    _refuse_conflicts(entries)
    apps: dict[str, Any] = {"http": {"servers": _servers(entries, config.tls)}}
    if config.tls not in {"auto", "off"}:
        apps["tls"] = {"certificates": {"load_folders": [config.tls]}}
    return {"admin": _admin(config.admin_port), "apps": apps}


def _admin(port: str) -> dict[str, Any]:
    """Return the admin section; a bare port means this machine only: the API asks for no password."""
    if not port:
        return {"disabled": True}
    text = f":{port}" if port.isdecimal() else port
    try:
        address = NetworkAddress.parse(text)
    except ValueError as error:
        raise ConfigError("admin_port", str(error), 'write ":2019"') from None
    if not address.is_stream or address.start_port != address.end_port:
        raise ConfigError("admin_port", f"{port!r} is not one TCP port", 'write ":2019"')
    return {"listen": f"localhost:{address.port}" if text.startswith(":") else text}


def _refuse_conflicts(entries: list[Entry]) -> None:
    """Refuse pairs of entries whose listeners or schemes cannot both be meant."""
    for index, second in enumerate(entries):
        for first in entries[:index]:
            one, other = first.place, second.place
            if one.listen != other.listen and one.overlaps(other):
                _refuse(first, second, f"both listen on port {one.port}, in different ways")
            if one.listen == other.listen and one.secure != other.secure:
                _refuse(first, second, f"one wants HTTPS and one HTTP on {one.listen!r}")


def _refuse(first: Entry, second: Entry, problem: str) -> None:
    raise ConfigError(second.path, f"ambiguous with {first.path}: {problem}", "give each its own")


def _servers(entries: list[Entry], tls: str) -> dict[str, Any]:
    listens = list(dict.fromkeys(entry.place.listen for entry in entries))
    return {
        f"srv{index}": _server([e for e in entries if e.place.listen == listen], tls)
        for index, listen in enumerate(listens)
    }


def _server(entries: list[Entry], tls: str) -> dict[str, Any]:
    place = entries[0].place
    hosts = sorted({e.place.host for e in entries}, key=_specificity)
    routes: list[dict[str, Any]] = []
    for host in hosts:
        inner = _routes([e for e in entries if e.place.host == host])
        routes += [_site(host, inner)] if host else inner
    server: dict[str, Any] = {"listen": [place.listen], "routes": routes}
    automatic = _automatic_https(place, tls)
    if automatic:
        server["automatic_https"] = automatic
    if place.secure and (not all(hosts) or place.port != HTTPS_PORT):
        server["tls_connection_policies"] = [{}]
    return server


def _automatic_https(place: Place, tls: str) -> dict[str, Any]:
    """Return what automatic HTTPS must not do here.

    Plain places stay plain. Only the standard port gets a redirect from port 80: who chose another
    one may not be allowed to open that. With a directory of certificates none are obtained.
    """
    if not place.secure:
        return {"disable": True}
    settings: dict[str, Any] = {}
    if place.port != HTTPS_PORT:
        settings["disable_redirects"] = True
    if tls != "auto":
        settings["disable_certificates"] = True
    return settings


def _specificity(host: str) -> tuple[bool, bool, int, str]:
    """Sort key: exact names before wildcards, longer first, the catch-all last."""
    return (not host, "*" in host, -len(host), host)


def _site(host: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "match": [{"host": [host]}],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": True,
    }


def _routes(entries: list[Entry]) -> list[dict[str, Any]]:
    """Return the routes of one place: sync's paths, then the files that exist, then the proxy."""
    sync, static, proxies = ([e for e in entries if e.kind == kind] for kind in KINDS)
    for several in (sync, static):
        if len(several) > 1:
            _refuse(several[0], several[1], "both serve the same place")
    routes: list[dict[str, Any]] = []
    if sync:
        handler = {"handler": "file_sync", "root": sync[0].key, "enable_upload": True}
        shared: dict[str, Any] = {"match": [{"path": SYNC_PATHS}]} if static or proxies else {}
        routes.append({**shared, "handle": [handler], **({"terminal": True} if shared else {})})
    if static:
        files: dict[str, Any] = {"handler": "file_server", "root": static[0].key}
        if proxies:
            files["pass_thru"] = True
            routes.append({"match": [{"method": ["GET", "HEAD"]}], "handle": [files]})
        else:
            routes.append({"handle": [files]})
    if proxies:
        routes.append({"handle": [_proxy(proxies)]})
    return routes


def _proxy(entries: list[Entry]) -> dict[str, Any]:
    upstreams = [parse_upstream(entry.key, entry.path) for entry in entries]
    secure = {is_secure for _, is_secure in upstreams}
    if len(secure) > 1:
        odd = next(i for i, (_, is_secure) in enumerate(upstreams) if is_secure != upstreams[0][1])
        _refuse(entries[0], entries[odd], "a pool speaks either HTTP or HTTPS to its upstreams")
    dials = [dial for dial, _ in upstreams]
    for index, dial in enumerate(dials):
        if dial in dials[:index]:
            _refuse(entries[dials.index(dial)], entries[index], "both are the same upstream")
    handler: dict[str, Any] = {"handler": "reverse_proxy", "upstreams": _dials(dials)}
    if True in secure:
        handler["transport"] = {"protocol": "http", "tls": {}}
    if len(dials) > 1:
        handler["load_balancing"] = {
            "selection_policy": {"policy": "round_robin"},
            "retries": len(dials) - 1,
        }
        handler["health_checks"] = {
            "passive": {"fail_duration": FAIL_DURATION, "max_fails": MAX_FAILS}
        }
    return handler


def _dials(dials: Iterable[str]) -> list[dict[str, str]]:
    return [{"dial": dial} for dial in dials]


def parse_upstream(key: str, path: str) -> tuple[str, bool]:
    """Return (dial address, whether to speak TLS) of a key of ``proxy``."""
    scheme, separator, rest = key.partition("://")
    if not separator:
        scheme, rest = "http", key
    if scheme not in {"http", "https"}:
        raise ConfigError(path, f"unknown scheme {scheme!r}", "http:// or https://")
    rest = rest.removesuffix("/") if separator else rest
    if separator and "/" in rest:
        raise ConfigError(path, "an upstream has no path", f"write {scheme}://HOST:PORT")
    if rest.startswith(":"):
        rest = f"localhost{rest}"
    try:
        address = NetworkAddress.parse(rest, default_port=_default_port(scheme, separator))
    except ValueError as error:
        raise ConfigError(path, str(error), 'write "HOST:PORT"') from None
    if not address.is_stream or address.is_fd or address.start_port != address.end_port:
        raise ConfigError(path, f"{key!r} is not one address to dial", 'write "HOST:PORT"')
    return str(address), scheme == "https"


def _default_port(scheme: str, separator: str) -> int | None:
    if not separator:
        return None
    return HTTPS_PORT if scheme == "https" else HTTP_PORT
