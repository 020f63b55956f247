"""The figures of all upstreams: sent to the other processes every second, and shown when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from quantum.bus.api import Bus, Subscription
from quantum.bus.subjects import UPSTREAMS_MEASURED, UpstreamFigures, UpstreamsMeasured
from quantum.clock import Clock
from quantum.ids import PROCESS_ID
from quantum.latency import count_up_to
from quantum.tasks import TaskSet
from services.proxy.upstreams import Upstream, Upstreams

SEND_SECONDS = 1.0
"""How often figures are sent while they change."""
QUIET_ROUNDS = 5
"""Rounds without a change after which they are sent all the same: a sign of life."""
FORGET_SECONDS = 12.0
"""Silence after which another process's figures are dropped: two signs of life, and a little."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the latency histogram's buckets (without the last, infinite one)."""


class Exchange:
    """Tells the other processes what was counted here, and remembers what they count."""

    def __init__(
        self, upstreams: Upstreams, bus: Bus, clock: Clock, process: str = PROCESS_ID
    ) -> None:
        self._upstreams = upstreams
        self._bus = bus
        self._clock = clock
        self._process = process
        self._sent: list[UpstreamFigures] = []
        self._quiet = 0
        self._others: dict[str, tuple[float, dict[str, UpstreamFigures]]] = {}
        self._tasks = TaskSet("proxy:figures")
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to send and to listen."""
        self._subscription = await self._bus.subscribe(UPSTREAMS_MEASURED, self._heard)
        self._tasks.start(self._send())

    async def aclose(self) -> None:
        """End both."""
        await self._tasks.aclose()
        if self._subscription is not None:
            await self._subscription.aclose()

    def others(self, upstream: str) -> list[UpstreamFigures]:
        """Return what the other processes counted at ``upstream`` lately."""
        start = self._clock.monotonic() - FORGET_SECONDS
        rows = (rows.get(upstream) for heard, rows in self._others.values() if heard > start)
        return [row for row in rows if row is not None]

    async def _send(self) -> None:
        while True:
            await self._clock.sleep(SEND_SECONDS)
            figures = [figures_of(u, self._clock.monotonic()) for u in self._upstreams]
            self._quiet += 1
            if figures and (figures != self._sent or self._quiet >= QUIET_ROUNDS):
                self._sent, self._quiet = figures, 0
                fact = UpstreamsMeasured(process=self._process, figures=figures)
                await self._bus.publish(UPSTREAMS_MEASURED, fact)

    async def _heard(self, fact: UpstreamsMeasured) -> None:
        if fact.process == self._process:
            return
        now = self._clock.monotonic()
        self._others[fact.process] = (now, {row.upstream: row for row in fact.figures})
        for process in [p for p, (at, _) in self._others.items() if at < now - FORGET_SECONDS]:
            del self._others[process]


def figures_of(upstream: Upstream, now: float) -> UpstreamFigures:
    """Return what this process counted at ``upstream``."""
    total = upstream.figures()
    return UpstreamFigures(
        upstream=upstream.address,
        in_flight=upstream.in_flight,
        requests=total.requests,
        errors=total.errors,
        answers=total.answers,
        strikes=upstream.strikes,
        fails=upstream.fails,
        seconds=round(total.seconds, 6),
        latency=upstream.latency.buckets(now),
    )


class UpstreamCollector(Collector):
    """The metrics of all upstreams, read from their plain counters when somebody scrapes."""

    def __init__(self, upstreams: Upstreams, registry: CollectorRegistry) -> None:
        self._upstreams = upstreams
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure, one sample per upstream."""
        yield from self._counters()
        answers = CounterMetricFamily(
            "quantum_proxy_upstream_answers",
            "Answers by class of their status",
            labels=["upstream", "class"],
        )
        in_flight = GaugeMetricFamily(
            "quantum_proxy_upstream_requests_in_flight", "Requests under way", labels=["upstream"]
        )
        latency = HistogramMetricFamily(
            "quantum_proxy_upstream_response_seconds",
            "Time until the head of the answer",
            labels=["upstream"],
        )
        for upstream in self._upstreams:
            in_flight.add_metric([upstream.address], upstream.in_flight)
            for digit, count in enumerate(upstream.classes):
                if count:
                    answers.add_metric([upstream.address, f"{digit}xx"], count)
            latency.add_metric([upstream.address], _buckets(upstream), upstream.seconds)
        yield from (answers, in_flight, latency)

    def _counters(self) -> Iterator[Metric]:
        for name, text, attribute in (
            ("quantum_proxy_upstream_requests", "Attempts at an upstream", "requests"),
            ("quantum_proxy_upstream_failures", "Attempts that got no answer", "failed"),
            (
                "quantum_proxy_upstream_retries",
                "Attempts that were not a request's first",
                "retries",
            ),
            (
                "quantum_proxy_upstream_strikes",
                "What passive checks held against an upstream",
                "strikes",
            ),
            (
                "quantum_proxy_upstream_ejections",
                "Times an upstream was left out, for whatever reason",
                "ejections",
            ),
        ):
            family = CounterMetricFamily(name, text, labels=["upstream"])
            for upstream in self._upstreams:
                family.add_metric([upstream.address], getattr(upstream, attribute))
            yield family


def _buckets(upstream: Upstream) -> list[tuple[str, float]]:
    total = upstream.latency.total()
    found: list[tuple[str, float]] = [(str(b), float(count_up_to(total, b))) for b in BOUNDS]
    return [*found, ("+Inf", float(upstream.answers))]
