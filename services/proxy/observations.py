"""What the proxy tells the rest of the program about its upstreams: facts and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from quantum.bus.api import Bus
from quantum.bus.subjects import UPSTREAM_OBSERVED, UpstreamObserved
from quantum.ids import PROCESS_ID
from quantum.tasks import TaskSet
from services.proxy.upstreams import Upstreams

QUIET_SECONDS = 1.0
"""At most one report of a failing upstream per second: the health room needs to know, not to count."""


class Observations:
    """Publishes that an upstream fails, and that it works again. Never waits, never fails a request.

    ``failing`` holds those that were reported: only for them does a success say anything new.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.failing: dict[str, float] = {}
        self._tasks = TaskSet("proxy:observations")

    def failed(self, address: str, reason: str) -> None:
        """Report a failure, unless one was reported a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self.failing.get(address, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self.failing[address] = now
        self._publish(address, "failed", reason)

    def succeeded(self, address: str) -> None:
        """Report that an upstream which failed has answered."""
        if self.failing.pop(address, None) is not None:
            self._publish(address, "ok", "")

    def _publish(self, address: str, outcome: str, reason: str) -> None:
        fact = UpstreamObserved(
            process=PROCESS_ID, upstream=address, outcome=outcome, reason=reason
        )  # fmt: skip
        self._tasks.start(self._bus.publish(UPSTREAM_OBSERVED, fact))

    async def aclose(self) -> None:
        """Drop what is still being published."""
        await self._tasks.aclose()


class UpstreamCollector(Collector):
    """The metrics of all upstreams, read from their plain counters when somebody scrapes."""

    def __init__(self, upstreams: Upstreams, registry: CollectorRegistry) -> None:
        self._upstreams = upstreams
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure, one sample per upstream."""
        label = ["upstream"]
        requests = CounterMetricFamily(
            "quantum_proxy_upstream_requests", "Attempts at an upstream", labels=label
        )
        failures = CounterMetricFamily(
            "quantum_proxy_upstream_failures", "Attempts that got no answer", labels=label
        )
        seconds = CounterMetricFamily(
            "quantum_proxy_upstream_response_seconds",
            "Time until the head of the answer, summed over attempts that got one",
            labels=label,
        )
        in_flight = GaugeMetricFamily(
            "quantum_proxy_upstream_requests_in_flight", "Requests under way", labels=label
        )
        for upstream in self._upstreams:
            name = [upstream.address]
            requests.add_metric(name, upstream.requests)
            failures.add_metric(name, upstream.failed)
            seconds.add_metric(name, upstream.seconds)
            in_flight.add_metric(name, upstream.in_flight)
        return [requests, failures, seconds, in_flight]
