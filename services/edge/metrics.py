"""Request metrics of the servers, when a configuration asks for them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.edge.protocols.host import Exchange

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}
)
"""Methods with a label of their own; strangers' inventions are one."""


class RequestMetrics:
    """The collectors, made once per process; a server that wants them gets an observer."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._requests = Counter(
            "quantum_edge_requests_total",
            "Requests that were answered, or given up by their client (499)",
            ["server", "method", "code"],
            registry=metrics,
        )
        self._seconds = Histogram(
            "quantum_edge_request_duration_seconds",
            "From the first byte of a request to the last of its answer",
            ["server", "method", "code"],
            registry=metrics,
        )
        self._bytes = Counter(
            "quantum_edge_response_bytes_total",
            "Bytes of response bodies handed to the kernel",
            ["server"],
            registry=metrics,
        )

    def observer(self, server: str) -> Callable[[Exchange], None]:
        """Return what counts the exchanges of one server; labels are looked up once each."""
        known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        sent = self._bytes.labels(server)

        def observe(exchange: Exchange) -> None:
            key = exchange.request.method, exchange.status
            children = known.get(key)
            if children is None:
                method = key[0] if key[0] in METHODS else "OTHER"
                labels = (server, method, str(key[1]))
                children = self._requests.labels(*labels), self._seconds.labels(*labels)
                if key[0] in METHODS:
                    known[key] = children
            children[0].inc()
            children[1].observe(exchange.seconds)
            sent.inc(exchange.sent)

        return observe
