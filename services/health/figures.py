"""The room's metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.health.checks import Check
from services.health.verdict import Sample, Verdict


class RoomFigures:
    """Counts checks and shows verdicts, leases and what proxies report."""

    def __init__(self, metrics: CollectorRegistry, leases: Callable[[], float]) -> None:
        self._labelled: dict[Counter, set[tuple[str, str]]] = {}
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
        self._changes = Counter(
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
        self._count(self._checks, check.upstream, "ok" if sample.ok else "failed")
        self._seconds.observe(sample.seconds)
        self._up.labels(check.upstream, check.checker).set(verdict.healthy)

    def note_change(self, upstream: str, event: str) -> None:
        """Count an event."""
        self._count(self._changes, upstream, event)

    def keep_only(self, upstreams: set[str]) -> None:
        """Drop the counts of other upstreams: addresses come and go, labels must not add up for ever."""
        for counter, known in self._labelled.items():
            for labels in [labels for labels in known if labels[0] not in upstreams]:
                counter.remove(*labels)
                known.remove(labels)

    def _count(self, counter: Counter, upstream: str, what: str) -> None:
        self._labelled.setdefault(counter, set()).add((upstream, what))
        counter.labels(upstream, what).inc()

    def forget(self, check: Check) -> None:
        """Stop showing a check that is no longer made here."""
        try:
            self._up.remove(check.upstream, check.checker)
        except KeyError:
            return  # it ended before its first sample
