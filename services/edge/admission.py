"""How much this process takes on at once. Beyond it newcomers are turned away, early and cheaply."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

MAX_CONNECTIONS = 16_000
"""Client connections of one process: below the usual 20,000 descriptors, with room for upstreams."""
HANDSHAKE_SECONDS = 10.0
"""For a TLS handshake, from the first byte to the last (nginx and Go's servers allow 60 and ever)."""


class Admission:
    """Counts connections and handshakes of one process and refuses beyond the bound."""

    def __init__(self, metrics: CollectorRegistry, limit: int = MAX_CONNECTIONS) -> None:
        self._limit = limit
        self._open = 0
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
            return False
        self._open += 1
        return True

    def leave(self) -> None:
        """An admitted connection is gone."""
        self._open -= 1
