"""What proxies report from their own requests: counted, and a reason to look at once.

A report alone takes no upstream down: the proxy that saw the failure has its own passive checks, and
one proxy's broken network must not speak for all. It makes the active check run now, not at the end
of its interval.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from quantum.bus.subjects import UpstreamObserved


class Reports:
    """Which processes see an upstream fail at present."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._failing: dict[str, set[str]] = {}
        self._counted: set[tuple[str, str]] = set()
        self._count = Counter(
            "quantum_health_reports",
            "Reports by proxies about upstreams",
            ["upstream", "outcome"],
            registry=metrics,
        )
        self._processes = Gauge(
            "quantum_health_reporting_processes",
            "Processes whose last report of the upstream was a failure",
            ["upstream"],
            registry=metrics,
        )

    def note(self, fact: UpstreamObserved) -> bool:
        """Count a report; return whether the upstream should be checked now."""
        self._counted.add((fact.upstream, fact.outcome))
        self._count.labels(fact.upstream, fact.outcome).inc()
        failing = self._failing.setdefault(fact.upstream, set())
        if fact.outcome == "failed":
            failing.add(fact.process)
        else:
            failing.discard(fact.process)
        self._processes.labels(fact.upstream).set(len(failing))
        if not failing:
            del self._failing[fact.upstream]
        return fact.outcome == "failed"

    def keep_only(self, upstreams: set[str]) -> None:
        """Forget upstreams that are no longer configured."""
        gone = [labels for labels in self._counted if labels[0] not in upstreams]
        for upstream, outcome in gone:
            self._counted.remove((upstream, outcome))
            self._count.remove(upstream, outcome)
        for upstream in {upstream for upstream, _ in gone}:
            self._failing.pop(upstream, None)
            self._processes.remove(upstream)
