"""The room's metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.health.checks import Check
from services.health.verdict import Sample, Verdict


class RoomFigures:
    """Counts checks and shows verdicts, leases and what proxies report."""

    def __init__(self, metrics: CollectorRegistry, leases: Callable[[], float]) -> None:
        self._checks = Counter(
            "quantum_health_checks",
            "Active checks made",
            ["upstream", "outcome"],
            registry=metrics,
        )
        self._seconds = Histogram(
            "quantum_health_check_duration_seconds",
            "Time an active check took",
            registry=metrics,
        )
        self._up = Gauge(
            "quantum_health_upstream_up",
            "1 while the upstream is considered healthy by the process that checks it",
            ["upstream", "checker"],
            registry=metrics,
        )
        self.changes = Counter(
            "quantum_health_upstream_changes",
            "Events of upstreams, healthy or unhealthy",
            ["upstream", "event"],
            registry=metrics,
        )
        held = Gauge(
            "quantum_health_leases_held", "Leases of checks that this process has", registry=metrics
        )
        held.set_function(leases)

    def note(self, check: Check, sample: Sample, verdict: Verdict) -> None:
        """Count one check."""
        self._checks.labels(check.upstream, "ok" if sample.ok else "failed").inc()
        self._seconds.observe(sample.seconds)
        self._up.labels(check.upstream, check.checker).set(verdict.healthy)

    def forget(self, check: Check) -> None:
        """Stop showing a check that is no longer made here."""
        try:
            self._up.remove(check.upstream, check.checker)
        except KeyError:
            return  # it ended before its first sample
