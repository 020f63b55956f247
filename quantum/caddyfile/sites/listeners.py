"""Which sites share a listener, and which listeners share their sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.parser import ServerBlock
from quantum.caddyfile.language.tokens import Token
from quantum.caddyfile.sites.site import HTTP_PORT, HTTPS_PORT, Address, Site, parse_address
from quantum.caddyfile.values import addresses

Bound = tuple[list[str], list[str]]
"""What ``bind`` says: addresses, and the protocols to serve there."""


@dataclass(slots=True)
class Pairing:
    """A server to be: (address, protocols) each, and the sites that all of them serve."""

    listeners: list[tuple[str, list[str]]]
    sites: list[Site]

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""
        return [address for address, _ in self.listeners]


def pair(
    blocks: list[tuple[ServerBlock, dict[str, list[Any]]]], options: dict[str, Any]
) -> list[Pairing]:
    """Return the servers that follow from the addresses of all blocks."""
    mapped: dict[str, dict[str, list[Site]]] = {}
    for index, (block, pile) in enumerate(blocks):
        _map(index, block, pile, options, mapped)
    return _consolidate(mapped)


def _map(
    index: int,
    block: ServerBlock,
    pile: dict[str, list[Any]],
    options: dict[str, Any],
    mapped: dict[str, dict[str, list[Site]]],
) -> None:
    places: dict[str, dict[str, list[tuple[Token, Address]]]] = {}
    for number, key in enumerate(block.keys):
        try:
            address = parse_address(key.text)
        except CaddyfileError as error:
            raise CaddyfileError(f"parsing key: {error.problem}") from None
        try:
            found = listeners_of(address, pile, options)
        except CaddyfileError as error:
            raise CaddyfileError(
                f"server block {index}, key {number} ({key.text}): determining listener address: "
                f"{error.problem}"
            ) from None
        for listener, protocols in found.items():
            for protocol in protocols or {"": None}:
                by_protocol = places.setdefault(listener, {})
                by_protocol.setdefault(protocol, []).append((key, address))
    for listener in sorted(places):
        for protocol in sorted(places[listener]):
            keys = places[listener][protocol]
            site = Site(index, block, [key for key, _ in keys], [at for _, at in keys], pile)
            mapped.setdefault(listener, {}).setdefault(protocol, []).append(site)


def listeners_of(
    address: Address, pile: dict[str, list[Any]], options: dict[str, Any]
) -> dict[str, dict[str, None]]:
    """Return where ``address`` is to be listened for, and the protocols asked for there."""
    _check_scheme(address.scheme)
    http, https = ports(options)
    port = address.port or (http if address.scheme == "http" else https)
    if (address.scheme, port) in {("http", https), ("https", http)}:
        raise CaddyfileError(f"[{address}] scheme and port violate convention")
    bound: list[Bound] = pile.get("bind") or options.get("default_bind") or [([""], [])]
    found: dict[str, dict[str, None]] = {}
    for hosts, protocols in bound:
        for host in hosts:
            try:
                network, name, _ = addresses.split(host)
            except CaddyfileError as error:
                raise CaddyfileError(f"splitting listener address: {error.problem}") from None
            try:
                parsed = addresses.parse(addresses.join(network, name, port))
            except CaddyfileError as error:
                raise CaddyfileError(f"parsing network address: {error.problem}") from None
            found.setdefault(str(parsed), {}).update(dict.fromkeys(protocols))
    return found


def _check_scheme(scheme: str) -> None:
    if scheme in {"ws", "wss"}:
        instead = "https" if scheme == "wss" else "http"
        raise CaddyfileError(
            f"the scheme {scheme}:// is only supported in browsers; use {instead}:// instead"
        )
    if scheme not in {"", "http", "https"}:
        raise CaddyfileError(f"unsupported URL scheme {scheme}://")


def ports(options: dict[str, Any]) -> tuple[str, str]:
    """Return the ports of HTTP and HTTPS as text."""
    return str(options.get("http_port", HTTP_PORT)), str(options.get("https_port", HTTPS_PORT))


def _consolidate(mapped: dict[str, dict[str, list[Site]]]) -> list[Pairing]:
    pairings = []
    for listener in sorted(mapped):
        for protocol in sorted(mapped[listener]):
            sites = mapped[listener].get(protocol)
            if sites is None:
                continue
            wanted = [site.identity for site in sites]
            shared: dict[str, list[str]] = {}
            for other, by_protocol in mapped.items():
                for name, found in list(by_protocol.items()):
                    if [site.identity for site in found] == wanted:
                        shared.setdefault(other, []).append(name)
                        del by_protocol[name]
            pairings.append(Pairing([(at, sorted(shared[at])) for at in sorted(shared)], sites))
    return pairings


def uses_other_port(listen: list[str], port: str) -> bool:
    """Whether some of the addresses has another port than ``port``."""
    for text in listen:
        address = addresses.parse(text)
        if not address.start <= int(port) <= address.end:
            return True
    return False
