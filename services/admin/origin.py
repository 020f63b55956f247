"""Who may talk to the admin API: a page in somebody's browser may not.

The API has no password on a loopback address, as Caddy's has none; what keeps web pages away are these
rules. A page can make a browser send requests here (CSRF), or make its own name resolve to this
machine (DNS rebinding). It cannot forge Host, Origin or the Sec-Fetch fields. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from quantum.config.units import NetworkAddress
from services.admin.config import AdminConfig

FORM_TYPES = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""What a form or a script without permission can send across origins (the Fetch standard's
CORS-safelisted types): never taken for a command."""


@dataclass(frozen=True)
class Refusal:
    """A request that is not listened to."""

    status: int
    reason: str


@dataclass(frozen=True)
class OriginRules:
    """The rules of one listener. ``hosts`` None: a unix socket, which no browser reaches."""

    hosts: frozenset[str] | None
    origins: frozenset[tuple[str, str]]
    open_hosts: bool = False
    enforce_origin: bool = False

    @classmethod
    def of(cls, config: AdminConfig) -> OriginRules:
        """Return the rules that follow from a configuration."""
        address = config.listen
        if config.origins is not None:
            origins = frozenset(_split_origin(origin) for origin in config.origins)
        else:
            origins = frozenset(("", host) for host in _own_hosts(address))
        hosts = None if address.is_unix else frozenset(host for _, host in origins)
        is_open = config.origins is None and _is_wildcard(address)
        return cls(hosts, origins, is_open, config.enforce_origin)

    def check(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused, None when it is not."""
        if "websocket" in headers.get("Upgrade", "").lower():
            return Refusal(400, "websocket connections aren't allowed")
        if "no-cors" in headers.get("Sec-Fetch-Mode", ""):
            return Refusal(400, "a page asked without the same-origin policy (no-cors)")
        if headers.get("Origin") == "null":
            return Refusal(400, "invalid origin 'null'")
        if not self._is_host_allowed(headers.get("Host", "")):
            return Refusal(403, f"host not allowed: {headers.get('Host', '')}")
        if self._needs_origin(headers):
            origin = headers.get("Origin") or headers.get("Referer") or ""
            if not origin:
                return Refusal(403, "missing required Origin header")
            if not self._is_origin_allowed(origin, headers.get("Host", "")):
                return Refusal(403, f"client is not allowed to access from origin {origin!r}")
        return None

    def may_share(self, headers: Mapping[str, str]) -> str | None:
        """Return the origin to name in CORS fields: only one that the configuration spells out."""
        origin = headers.get("Origin", "")
        scheme, host = _split_origin(origin)
        return origin if origin and (scheme, host) in self.origins else None

    def _needs_origin(self, headers: Mapping[str, str]) -> bool:
        if "Origin" in headers or self.enforce_origin:
            return True
        if "Sec-Fetch-Mode" not in headers:
            return False  # no browser, or one from before 2023
        # The browser's own word: the user typed the address, or a page of ours asks.
        return headers.get("Sec-Fetch-Site") not in {"none", "same-origin"}

    def _is_host_allowed(self, host: str) -> bool:
        if self.hosts is None or host.lower() in self.hosts:
            return True
        return self.open_hosts and _is_unrebindable(host)

    def _is_origin_allowed(self, origin: str, host: str) -> bool:
        scheme, asked = _split_origin(origin)
        if any(asked == known and wanted in {"", scheme} for wanted, known in self.origins):
            return True
        return self.open_hosts and asked == host.lower() and _is_unrebindable(asked)


def is_form(content_type: str) -> bool:
    """Whether a page could send this content type without asking first."""
    return content_type.partition(";")[0].strip().lower() in FORM_TYPES


def _own_hosts(address: NetworkAddress) -> set[str]:
    """Return the Host values of a listener's own address; all names of the loopback for one of them."""
    if address.is_unix:
        return {"", "127.0.0.1", "::1"}
    hosts = {address.host_port().lower()}
    names = [address.host]
    if _is_loopback(address.host):
        names = ["localhost", "127.0.0.1", "[::1]"]
        hosts |= {f"{name}:{address.port}" for name in names}
    if address.port == 80:  # browsers leave the default port out
        hosts |= {name.lower() for name in names}
    return hosts


def _split_origin(origin: str) -> tuple[str, str]:
    if "://" not in origin:
        return "", origin.lower()
    try:
        parts = urlsplit(origin)
        return parts.scheme.lower(), parts.netloc.lower()
    except ValueError:
        return "invalid", origin


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _is_wildcard(address: NetworkAddress) -> bool:
    literal = _ip(address.host)
    return not address.is_unix and (
        not address.host or (literal is not None and literal.is_unspecified)
    )


def _is_unrebindable(host: str) -> bool:
    """Whether no stranger's DNS can make this Host lead here: an IP address, or a name of one label.

    A listener on all interfaces cannot know the names it is called by; a container's name has one label,
    the name of an attacker's page has two or more.
    """
    name = urlsplit(f"//{host}").hostname if host else None
    return bool(name) and (_ip(str(name)) is not None or "." not in str(name))


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
