"""How much this process takes on at once. Beyond it newcomers are turned away, early and cheaply."""

from __future__ import annotations

from ipaddress import ip_address

from prometheus_client import CollectorRegistry, Counter, Gauge

from quantum.clock import Clock, SystemClock
from quantum.net.descriptors import descriptor_limit
from services.edge.offenders import FLOODS, Offenders

MAX_CONNECTIONS = 16_000
"""Client connections of one process: below the usual 20,000 descriptors, with room for upstreams."""
RESERVED_DESCRIPTORS = 0.2
"""The share of the process's descriptors that is kept for upstreams, files and the bus: with few
descriptors fewer clients are admitted, so that those who are get answers."""
MAX_HANDSHAKES = 2048
"""Unfinished TLS handshakes at once; above it the oldest gives way, as the one least likely to end. At a
millisecond each, honest ones are through in the time that this many take."""
CROWDED = 0.5
"""The share of all connections from which on single clients are bounded."""
CLIENT_SHARE = 1 / 16
"""What one client may have then: a thousand connections of 16,000 are more than any company's proxy
keeps, and sixteen attackers are needed to fill the rest."""
HANDSHAKE_SECONDS = 10.0
"""For a TLS handshake, from the first byte to the last (nginx and Go's servers allow 60 and ever)."""


class Admission:
    """Counts connections and handshakes of one process and refuses beyond the bound."""

    def __init__(
        self, metrics: CollectorRegistry, limit: int = 0, clock: Clock | None = None
    ) -> None:
        """``limit`` 0: what the process's descriptors allow, at most MAX_CONNECTIONS."""
        self._limit = limit or min(
            MAX_CONNECTIONS, int(descriptor_limit() * (1 - RESERVED_DESCRIPTORS))
        )
        self._crowded = int(self._limit * CROWDED)
        self._client_limit = max(1, int(self._limit * CLIENT_SHARE))
        self._open = 0
        self._by_client: dict[str, int] = {}
        self._offenders = Offenders((clock or SystemClock()).monotonic)
        self._reached = Counter(
            "quantum_edge_limits_reached_total",
            "Connections that were cut or refused because of a limit",
            ["limit"],
            registry=metrics,
        )
        self._refused = Counter(
            "quantum_edge_connections_refused_total",
            "Connections turned away because too many were open",
            registry=metrics,
        )
        Gauge(
            "quantum_edge_connections_open", "Client connections now open", registry=metrics
        ).set_function(lambda: self._open)
        self.handshakes_failed = Counter(
            "quantum_edge_handshakes_failed_total",
            "TLS handshakes that did not succeed",
            ["reason"],
            registry=metrics,
        )

    @property
    def open(self) -> int:
        """Connections admitted and not yet left."""
        return self._open

    def enter(self) -> bool:
        """Admit one connection; False: close it at once, and do not call ``leave``."""
        if self._open >= self._limit:
            self._refused.inc()
            self.reached("connections")
            return False
        self._open += 1
        return True

    def enter_client(self, ip: str) -> bool:
        """Count a connection of a client; False: it has too many while others need them, or floods.

        Addresses that are not of the public internet stand for many: balancers, tests. ``leave_client``
        is called in both cases.
        """
        client = client_of(ip)
        if not client:
            return True
        count = self._by_client.get(client, 0) + 1
        self._by_client[client] = count
        if count > self._client_limit and self._open > self._crowded:
            self.reached("connections_of_client")
            return False
        if self._offenders.refuses(client):
            self.reached("floods_of_client")
            return False
        return True

    def leave_client(self, ip: str) -> None:
        """A connection of a client is gone."""
        client = client_of(ip)
        count = self._by_client.get(client, 0) - 1
        if count > 0:
            self._by_client[client] = count
        else:
            self._by_client.pop(client, None)

    def reached(self, limit: str) -> None:
        """Note that a limit was reached by somebody."""
        self._reached.labels(limit).inc()

    def cut(self, limit: str, ip: str) -> None:
        """Note that a connection from ``ip``, which stands for one client, was cut because of ``limit``."""
        client = client_of(ip) if limit in FLOODS else ""
        if client:
            self._offenders.was_cut(client)

    def leave(self) -> None:
        """An admitted connection is gone."""
        self._open -= 1


def client_of(ip: str) -> str:
    """Return what counts as one client: a public IPv4 address, an IPv6 /64; "" for one not counted."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    if not address.is_global:
        return ""
    return ip if address.version == 4 else address.exploded[:19]
