"""The health room in one process: a watch for every upstream that a configuration wants checked."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from quantum.bus.api import Subscription
from quantum.bus.subjects import UPSTREAM_OBSERVED, UpstreamObserved
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet
from services.health.board import Board
from services.health.checks import Check, checks_of
from services.health.passive import Reports
from services.health.prober import Prober
from services.health.verdict import Sample, Verdict
from services.health.watch import Watch


class HealthService:
    """Starts and ends watches as configurations come and go; a check that stays is not disturbed."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._board = Board(context.bus, context.clock, context.log)
        self._prober = Prober(context.clock.monotonic)
        self._reports = Reports(context.metrics)
        self._watches: dict[str, Watch] = {}
        self._tasks = TaskSet("health")
        self._subscription: Subscription | None = None
        self._figures = _Figures(context)

    async def start(self) -> None:
        """Listen to what proxies observe."""
        self._subscription = await self._context.bus.subscribe(UPSTREAM_OBSERVED, self._observed)

    async def prepare(self, revision: Revision) -> Prepared:
        """Work out the checks of ``revision``; nothing is probed before commit."""
        return _Swap(self, checks_of(revision), revision.id)

    async def stop(self, grace: float) -> None:
        """End all watches. What they published stays, until its time is over."""
        if self._subscription is not None:
            await self._subscription.aclose()
        for watch in self._watches.values():
            await watch.aclose()
        await self._tasks.aclose()
        await self._board.aclose()
        await self._prober.aclose()

    def take(self, checks: dict[str, Check], revision: str) -> None:
        """Watch exactly ``checks`` from now on."""
        for key in self._watches.keys() - checks.keys():
            self._tasks.start(self._end(self._watches.pop(key)), "end")
        for key, check in checks.items():
            watch = self._watches.get(key)
            if watch is not None:
                watch.revision = revision
                continue
            self._watches[key] = self._watch(check, revision)
            self._watches[key].start()
        self._reports.keep_only({check.upstream for check in checks.values()})

    def _watch(self, check: Check, revision: str) -> Watch:
        context = self._context
        return Watch(
            check,
            self._prober.probe,
            self._board,
            context.clock,
            context.log,
            revision,
            self._figures.note,
        )

    async def _end(self, watch: Watch) -> None:
        await watch.aclose()
        self._figures.forget(watch.check)
        if watch.check.key not in self._watches:  # a quick reload may have begun it again
            await self._board.withdraw(watch.check)

    async def _observed(self, fact: UpstreamObserved) -> None:
        if not self._reports.note(fact):
            return
        for watch in self._watches.values():
            if watch.check.upstream == fact.upstream:
                watch.look_now()


class _Figures:
    """The room's metrics."""

    def __init__(self, context: ServiceContext) -> None:
        self._checks = Counter(
            "quantum_health_checks",
            "Active checks made",
            ["upstream", "outcome"],
            registry=context.metrics,
        )
        self._seconds = Histogram(
            "quantum_health_check_duration_seconds",
            "Time an active check took",
            registry=context.metrics,
        )
        self._up = Gauge(
            "quantum_health_upstream_up",
            "1 while the upstream is considered healthy",
            ["upstream", "checker"],
            registry=context.metrics,
        )

    def note(self, check: Check, sample: Sample, verdict: Verdict) -> None:
        """Count one check."""
        self._checks.labels(check.upstream, "ok" if sample.ok else "failed").inc()
        self._seconds.observe(sample.seconds)
        self._up.labels(check.upstream, check.checker).set(verdict.healthy)

    def forget(self, check: Check) -> None:
        """Stop showing a check that no longer exists."""
        try:
            self._up.remove(check.upstream, check.checker)
        except KeyError:
            return  # it ended before its first sample


class _Swap:
    """A prepared configuration of this room."""

    def __init__(self, service: HealthService, checks: dict[str, Check], revision: str) -> None:
        self._service = service
        self._checks = checks
        self._revision = revision

    def commit(self) -> None:
        """Begin the new watches, end the old ones."""
        self._service.take(self._checks, self._revision)

    async def discard(self) -> None:
        """Nothing was begun."""
