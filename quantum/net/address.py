"""From a network address in a configuration to what the socket calls want."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from quantum.config.units import NetworkAddress


@dataclass(frozen=True)
class SocketAddress:
    """One address to bind: ``v6_only`` is None where it does not apply."""

    family: socket.AddressFamily
    address: Any
    v6_only: bool | None = None


def has_ipv6() -> bool:
    """Whether this machine can bind IPv6 at all (containers often cannot)."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def stream_addresses(address: NetworkAddress, port: int) -> list[SocketAddress]:
    """Return where to bind TCP for one port of ``address``; OSError when its name does not resolve.

    No host means every interface, both families on one socket. A name means each of its addresses:
    browsers try ``localhost`` as ::1 first, others as 127.0.0.1.
    """
    host = "" if address.host in {"", "*"} else address.host
    network = address.network
    if not host:
        if network == "tcp4" or not has_ipv6():
            return [SocketAddress(socket.AF_INET, ("0.0.0.0", port))]
        return [SocketAddress(socket.AF_INET6, ("::", port), network == "tcp6")]
    families = {"tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}
    found = socket.getaddrinfo(
        host, port, families.get(network, socket.AF_UNSPEC), socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )  # fmt: skip
    bound: dict[Any, SocketAddress] = {}
    for family, _, _, _, sockaddr in found:
        v6_only = True if family == socket.AF_INET6 else None
        bound.setdefault(sockaddr, SocketAddress(family, sockaddr, v6_only))
    if len(bound) > 1 and not has_ipv6():
        bound = {k: v for k, v in bound.items() if v.family != socket.AF_INET6}
    return list(bound.values())


def peer_of(sockaddr: Any) -> tuple[str, int]:
    """Return (IP, port) of a socket's end, ("", 0) of a unix socket; IPv4 that came by IPv6 is IPv4."""
    if not isinstance(sockaddr, tuple):
        return "", 0
    host = str(sockaddr[0])
    return host.removeprefix("::ffff:") if "." in host else host, int(sockaddr[1])
