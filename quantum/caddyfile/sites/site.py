"""A site: its addresses and what its directives gave."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.parser import ServerBlock
from quantum.caddyfile.language.tokens import Token
from quantum.caddyfile.values import addresses
from quantum.caddyfile.values.numbers import quoted

HTTP_PORT, HTTPS_PORT = 80, 443
MAX_ADDRESS = 4096
MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """``scheme://host:port/path`` with everything optional."""

    original: str
    scheme: str = ""
    host: str = ""
    port: str = ""
    path: str = ""

    def __str__(self) -> str:
        if not self.host and not self.port:
            return ""
        scheme = self.scheme or ("https" if self.port == str(HTTPS_PORT) else "http")
        usual = {"https": str(HTTPS_PORT), "http": str(HTTP_PORT)}.get(scheme, self.port)
        shown = self.host
        if self.port and self.port != usual:
            shown = addresses.join_host_port(self.host, self.port)
        return f"{scheme}://{shown}{self.path}"


def parse_address(text: str) -> Address:
    """Return the normal form of a site's address."""
    original = text[:MAX_ADDRESS].strip()
    head, found, rest = original.partition("://")
    scheme, rest = (head, rest) if found else ("", head)
    place, slash, path = rest.partition("/")
    host, port = _host_port(place)
    if port:
        _check_port(port)
    return Address(
        original,
        _lower(scheme),
        _lower(_normal_ip(host.strip())),
        port,
        slash + path,
    )


def _host_port(place: str) -> tuple[str, str]:
    for attempt in (place, place + ":"):
        try:
            return addresses.split_host_port(attempt)
        except CaddyfileError:
            continue
    return place, ""


def _check_port(port: str) -> None:
    if re.fullmatch(r"[+-]?\d+", port) is None:
        raise CaddyfileError(
            f"invalid port '{port}': strconv.Atoi: parsing {quoted(port)}: invalid syntax"
        )
    if not 0 <= int(port) <= MAX_PORT:
        raise CaddyfileError(f"port {int(port)} is out of range")


def _normal_ip(host: str) -> str:
    try:
        ip = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    return host if ip.ipv4_mapped else str(ip)


def _lower(text: str) -> str:
    """Lower the case except in placeholders."""
    return re.sub(r"\{[^{}]*\}|[^{]+|\{", lambda m: m[0] if m[0][0] == "{" else m[0].lower(), text)


@dataclass(slots=True)
class Site:
    """A server block, or the part of one that shares a listener."""

    index: int
    block: ServerBlock
    keys: list[Token]
    addresses: list[Address]
    pile: dict[str, list[Any]]

    @property
    def identity(self) -> tuple[int, tuple[Token, ...]]:
        """Equal for equal parts of one block."""
        return self.index, tuple(self.keys)

    @property
    def key_texts(self) -> list[str]:
        """The addresses as written."""
        return [token.text for token in self.keys]

    @property
    def is_catch_all(self) -> bool:
        """Whether some address has no host."""
        return any(not address.host for address in self.addresses)

    @property
    def is_all_http(self) -> bool:
        """Whether every address says http://."""
        return all(address.scheme == "http" for address in self.addresses)

    def hosts(self) -> list[str]:
        """The hosts; none when some address has none, for then all match."""
        return [] if self.is_catch_all else self._hosts(lambda address: address.host)

    def log_hosts(self) -> list[str]:
        """The hosts that a log may be named for, with ports that are not the usual ones."""
        usual = {"", str(HTTP_PORT), str(HTTPS_PORT)}

        def name(address: Address) -> str:
            if address.host and address.port not in usual:
                return addresses.join_host_port(address.host, address.port)
            return address.host

        return self._hosts(name)

    def tls_hosts(self, http_port: str) -> list[str]:
        """The hosts that are not plain HTTP, sorted."""

        def name(address: Address) -> str:
            is_plain = address.scheme == "http" or address.port == http_port
            return "" if is_plain else address.host

        return sorted(self._hosts(name))

    def _hosts(self, name: Callable[[Address], str]) -> list[str]:
        return [host for host in dict.fromkeys(map(name, self.addresses)) if host]


def specificity(text: str) -> int:
    """Return how much of a host or path is said, wildcards and placeholders not counted."""
    size = len(text.encode()) - text.count("*")
    rest = text
    while rest:
        start = rest.find("{")
        end = rest.find("}", start) + 1
        if start < 0 or end <= start:
            return size
        size -= end - start
        rest = rest[end:]
    return size
