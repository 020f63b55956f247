"""Request metrics of the servers, when a configuration asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from quantum.http.message import Request
from services.edge.matchers.host import host_of
from services.edge.protocols.host import Exchange

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}
)
"""Methods with a label of their own; strangers' inventions are one."""

MAX_HOSTS = 1000
"""Hosts that no route names and that have labels of their own, for each server and revision."""
OTHER_HOST = "_other"
"""Caddy's name for the rest."""


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
        self._host_requests = Counter(
            "quantum_edge_host_requests_total",
            "Requests by Host (``per_host``)",
            ["server", "host", "method", "code"],
            registry=metrics,
        )
        self._host_seconds = Histogram(
            "quantum_edge_host_request_duration_seconds",
            "From the first byte of a request to the last of its answer, by Host (``per_host``)",
            ["server", "host"],
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

    def host_observer(
        self, server: str, hosts: Iterable[str], catches_all: bool
    ) -> Callable[[Exchange], None]:
        """Return what counts the exchanges of one server by Host.

        Those that routes name have labels of their own; over TLS, or where it ``catches_all``, others
        as well, up to a bound: a label is memory, and what a Host is called is the client's choice.
        """
        named = frozenset(hosts)
        others: set[str] = set()

        def label_of(request: Request) -> str:
            host = host_of(request)
            if host in named or host in others:
                return host
            is_open = catches_all or request.scheme == "https"
            if not is_open or len(others) >= MAX_HOSTS:
                return OTHER_HOST
            others.add(host)
            return host

        def observe(exchange: Exchange) -> None:
            request = exchange.request
            host = label_of(request)
            method = request.method if request.method in METHODS else "OTHER"
            self._host_requests.labels(server, host, method, str(exchange.status)).inc()
            self._host_seconds.labels(server, host).observe(exchange.seconds)

        return observe
