"""Addresses of upstreams: schemes, port ranges, sockets, placeholders."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.values import addresses

CONFLICTS = {("http", "443"): "HTTPS", ("https", "80"): "HTTP", ("h2c", "443"): "HTTPS"}
USUAL_PORTS = {"": "80", "http": "80", "h2c": "80", "https": "443"}
URL = re.compile(r"([^:/?#]*)://(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(?::([^/?#]*))?([/?#].*)?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """An address taken apart."""

    network: str
    scheme: str
    host: str
    port: str

    @property
    def dial(self) -> str:
        """The address without its scheme."""
        return addresses.join(self.network, self.host, self.port)

    def expand(self) -> list[str]:
        """Return what to dial: one address, or one for each port of a range."""
        if "{" in self.port and "}" in self.port:
            return [self.dial]
        parsed = addresses.parse(self.dial)
        if self.network in addresses.UNIX or "-" not in self.port:
            return [self.dial]
        ports = range(parsed.start, parsed.end + 1)
        return [addresses.join("", parsed.host, str(port)) for port in ports]


def parse_upstream(text: str) -> Upstream:
    """Return the parts of an upstream's address."""
    if "://" in text:
        return _parse_url(text)
    try:
        network, host, port = addresses.split(text)
    except CaddyfileError:
        network, host, port = "", text, ""
    if not port and "{" not in host and not addresses.is_file(network):
        port = "80"
    if network == "unix+h2c":
        return Upstream("unix", "h2c", host, port)
    return Upstream(network, "", host, port)


def _parse_url(text: str) -> Upstream:
    if "{" in text:
        raise CaddyfileError(
            "due to parsing difficulties, placeholders are not allowed when an upstream address "
            "contains a scheme"
        )
    found = URL.fullmatch(text)
    if found is None:
        raise CaddyfileError(f'parsing upstream URL: parse "{text}": invalid URL')
    scheme, host, port, rest = found[1].lower(), found[2], found[3] or "", found[4] or ""
    if not scheme:
        raise CaddyfileError(f'parsing upstream URL: parse "{text}": missing protocol scheme')
    if not re.fullmatch(r"\d*(-\d+)?", port):
        raise CaddyfileError(
            f'parsing upstream URL: parse "{text}": invalid port ":{port}" after host'
        )
    if rest and rest not in {"?", "#"}:
        raise CaddyfileError(
            "for now, URLs for proxy upstreams only support scheme, host, and port components"
        )
    if (scheme, port) in CONFLICTS:
        raise CaddyfileError(
            f"upstream address has conflicting scheme ({scheme}://) and port "
            f"(:{port}, the {CONFLICTS[scheme, port]} port)"
        )
    return Upstream("", scheme, host.strip("[]"), port or USUAL_PORTS.get(scheme, ""))
