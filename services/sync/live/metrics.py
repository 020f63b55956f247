"""What is counted of all shares of a process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds: from a memory copy on one machine to a client that was asleep."""


class LiveMetrics:
    """Made once for each process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = Gauge("quantum_sync_clients", "WebSocket clients now", registry=registry)
        self.received = Counter(
            "quantum_sync_messages_received", "Messages from clients", registry=registry
        )
        self.delivered = Counter(
            "quantum_sync_messages_delivered", "Messages handed to clients", registry=registry
        )
        self.cut = Counter("quantum_sync_clients_cut", "Clients cut", ["reason"], registry=registry)
        self.queued = Gauge(
            "quantum_sync_queued_bytes", "Bytes that wait for slow clients", ["share"],
            registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "quantum_sync_waiting_writes", "Writes on their way into the log", ["share"],
            registry=registry,
        )  # fmt: skip
        self.operations = Counter(
            "quantum_sync_operations", "Operations applied", ["kind"], registry=registry
        )
        self.conflicts = Counter(
            "quantum_sync_conflicts", "Writes that lost", ["outcome"], registry=registry
        )
        self.lag = Histogram(
            "quantum_sync_lag_seconds",
            "From an operation's commit to a client's Ack of it",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.head = Gauge(
            "quantum_sync_head", "Last sequence applied", ["share"], registry=registry
        )
        self.pending = Gauge(
            "quantum_sync_pending_files", "Files not written to the folder yet", ["share"],
            registry=registry,
        )  # fmt: skip
        self.restarts = Gauge(
            "quantum_sync_restarts", "Times the share began anew after a failure", ["share"],
            registry=registry,
        )  # fmt: skip
        self.saved = Gauge(
            "quantum_sync_deduplicated_bytes", "Bytes that came and were here", ["share"],
            registry=registry,
        )  # fmt: skip
