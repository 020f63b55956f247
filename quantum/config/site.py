"""Where something of the simple format is served: a listener, a name, HTTP or HTTPS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError

PORTS = {"http": 80, "https": 443}

_NAME = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*"
)


@dataclass(frozen=True)
class Place:
    """One listener as the full format writes it, the site's name ("" for any), and the scheme."""

    listen: str
    port: int
    host: str
    secure: bool

    def overlaps(self, other: Place) -> bool:
        """Whether two different listeners share a port of one interface."""
        if self.port != other.port or not self.port:
            return False
        return self._is_every_interface or other._is_every_interface

    @property
    def _is_every_interface(self) -> bool:
        return self.listen.startswith((":", "0.0.0.0:", "[::]:"))


def parse_place(text: str, path: str, tls: str) -> Place:
    """Read ":8080", "127.0.0.1:8080", "unix//path", "app.example.com" or "https://app.example.com".

    A name with a dot, or anything with a scheme, is a site: requests for that name. An address or
    a name without a dot ("localhost:8080") is an interface to listen on. ``tls`` is the document's
    key: it decides the scheme of what does not say one. ConfigError at ``path``.
    """
    scheme, separator, rest = text.strip().partition("://")
    if separator:
        return _site(scheme.lower(), rest.removesuffix("/"), path, tls)
    address = _address(text.strip(), path)
    if _is_site(address):
        scheme = "http" if tls == "off" or address.port == PORTS["http"] else "https"
        return _site(scheme, text.strip(), path, tls)
    if address.is_unix or address.is_fd:
        return Place(str(address), 0, "", secure=False)
    if address.port == PORTS["https"] and tls == "auto":
        problem = "port 443 without a name: no certificate can be obtained for it"
        raise ConfigError(path, problem, 'write "https://NAME", or set tls to a directory or "off"')
    secure = tls not in {"auto", "off"} and address.port != PORTS["http"]
    return Place(str(address), address.port, "", secure)


def _address(text: str, path: str) -> NetworkAddress:
    """Read a place without a scheme; port 0 stands for "none given"."""
    try:
        address = NetworkAddress.parse(text, default_port=0)
    except ValueError as error:
        raise ConfigError(path, str(error), 'write ":8080" or "https://NAME"') from None
    if address.start_port != address.end_port:
        raise ConfigError(path, f"{text!r} is a range of ports", "name one port")
    if not address.is_stream:
        raise ConfigError(path, f"{text!r} is no TCP address", 'write ":8080"')
    if not address.port and not address.is_unix and not address.is_fd and not _is_site(address):
        raise ConfigError(path, f"{text!r} has no port", f'write "{text}:8080" or "https://{text}"')
    return address


def _is_site(address: NetworkAddress) -> bool:
    if address.is_unix or address.is_fd or "." not in address.host:
        return False
    return not _is_ip(address.host)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _site(scheme: str, rest: str, path: str, tls: str) -> Place:
    if scheme not in PORTS:
        raise ConfigError(path, f"unknown scheme {scheme!r}", "http:// or https://")
    if "/" in rest:
        raise ConfigError(path, "a site address has no path", f"write {scheme}://NAME")
    if scheme == "https" and tls == "off":
        raise ConfigError(path, 'wants HTTPS, but "tls" is "off"', 'set "tls" to "auto"')
    try:
        address = NetworkAddress.parse(rest, default_port=PORTS[scheme])
    except ValueError as error:
        raise ConfigError(
            path, str(error), f"write {scheme}://NAME or {scheme}://NAME:PORT"
        ) from None
    port, host = address.port or PORTS[scheme], address.host.lower()
    if not _is_ip(host) and not _NAME.fullmatch(host):
        raise ConfigError(path, f"{host!r} is not a host name", f"write {scheme}://NAME")
    if address.start_port != address.end_port:
        raise ConfigError(path, f"{rest!r} is a range of ports", "name one port")
    return Place(f":{port}", port, host, scheme == "https")
