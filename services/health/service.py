"""The health room in one process: a watch for every upstream that a configuration wants checked."""

from __future__ import annotations

from quantum.bus.api import Entry, Subscription
from quantum.bus.subjects import (
    UPSTREAM_CHANGED,
    UPSTREAM_OBSERVED,
    UPSTREAM_SETS,
    UPSTREAMS_MEASURED,
    UpstreamChanged,
    UpstreamObserved,
    UpstreamSet,
    UpstreamsMeasured,
)
from quantum.errors import BusUnavailable
from quantum.ids import PROCESS_ID
from quantum.modules.config import ModuleConfig
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet
from quantum.trust.upstreams import UpstreamTrust
from services.health.board import Board
from services.health.checks import Check, checks_of, checks_of_proxy, proxies_of
from services.health.figures import RoomFigures
from services.health.leases import Leases
from services.health.passive import Reports
from services.health.probes.prober import Prober
from services.health.replicas import Replicas, Together
from services.health.watch import Watch

TOGETHER = "together"
"""The lease of the process that concludes from all proxies' figures."""
LOOK_SECONDS = 1.0
"""How often it does."""


class HealthService:
    """Starts and ends watches as configurations come and go; a check that stays is not disturbed."""

    def __init__(self, context: ServiceContext, process: str = PROCESS_ID) -> None:
        self._context = context
        self._board = Board(context.bus, context.clock, context.log)
        self._prober = Prober(context.clock.monotonic)
        self._reports = Reports(context.metrics)
        self._replicas = Replicas(context.clock)
        self._leases = Leases(context.bus, context.clock, context.log, process, self._leased)
        self._figures = RoomFigures(context.metrics, lambda: float(self._leases.held))
        self._watches: dict[str, Watch] = {}
        self._together: list[Together] = []
        self._is_concluding = False
        self._trust = UpstreamTrust(context)
        self._tasks = TaskSet("health")
        self._subscriptions: list[Subscription] = []
        self._fixed: dict[str, Check] = {}
        self._proxies: dict[str, ModuleConfig] = {}
        self._sets: dict[str, UpstreamSet] = {}
        self._revision = ""

    async def start(self) -> None:
        """Listen to what proxies observe, count and find."""
        bus = self._context.bus
        self._subscriptions = [
            await bus.subscribe(UPSTREAM_OBSERVED, self._observed),
            await bus.subscribe(UPSTREAMS_MEASURED, self._measured),
            await bus.subscribe(UPSTREAM_CHANGED, self._changed),
        ]
        try:
            self._subscriptions.append(await (await bus.bucket(UPSTREAM_SETS)).watch(self._found))
        except BusUnavailable as error:
            self._context.log.warning("upstream_sets_not_watched", reason=str(error))
        self._leases.start()
        self._tasks.start(self._conclude())

    async def prepare(self, revision: Revision) -> Prepared:
        """Work out the checks of ``revision``; nothing is probed before commit."""
        await self._trust.prepare(revision)
        return _Swap(self, checks_of(revision, self._trust), revision)

    async def stop(self, grace: float) -> None:
        """End all watches. What they published stays, until its time is over."""
        for subscription in self._subscriptions:
            await subscription.aclose()
        for watch in self._watches.values():
            await watch.aclose()
        await self._leases.aclose()
        await self._tasks.aclose()
        await self._board.aclose()
        await self._prober.aclose()
        await self._trust.aclose()

    def take(self, checks: dict[str, Check], revision: Revision) -> None:
        """Watch ``checks`` and what proxies find by themselves from now on."""
        context = self._context
        self._fixed, self._revision = checks, revision.id
        proxies = proxies_of(revision)
        self._proxies = {module.path: module for module in proxies}
        known = {id(together.config): together for together in self._together}
        self._together = [
            known.get(id(m.config)) or Together(m, self._replicas, context.clock)
            for m in proxies
            if m.config.health_checks.passive or m.config.health_checks.outlier
        ]
        self._renew()

    def _renew(self) -> None:
        """Begin and end watches so that they are those of the configuration and of what was found."""
        checks = {**self._fixed, **self._found_checks()}
        for key in self._watches.keys() - checks.keys():
            self._tasks.start(self._end(self._watches.pop(key)), "end")
        for key, check in checks.items():
            watch = self._watches.get(key)
            if watch is None:
                self._watches[key] = self._watch(check)
            else:
                watch.revision = self._revision
        known = {check.upstream for check in checks.values()} | {
            upstream.dial
            for module in self._proxies.values()
            for upstream in module.config.upstreams
        }
        self._reports.keep_only(known)
        self._figures.keep_only(known)
        self._leases.want([*checks, *([TOGETHER] if self._together else [])])

    def _found_checks(self) -> dict[str, Check]:
        found = {}
        for one in self._sets.values():
            module = self._proxies.get(one.path)
            if module is None or one.revision != self._revision:
                continue
            if module.config.health_checks.active is not None:
                for check in checks_of_proxy(module, one.upstreams, self._trust):
                    found[check.key] = check
        return found

    def _watch(self, check: Check) -> Watch:
        clock, note = self._context.clock, self._figures.note
        return Watch(check, self._prober.probe, self._board, clock, self._revision, note)

    async def _end(self, watch: Watch) -> None:
        was_ours = watch.is_ours
        await watch.aclose()
        self._figures.forget(watch.check)
        if was_ours and watch.check.key not in self._watches:  # it may have been begun again
            await self._board.withdraw(watch.check.key)

    def _leased(self, key: str, is_ours: bool) -> None:
        if key == TOGETHER:
            self._is_concluding = is_ours
        elif (watch := self._watches.get(key)) is None:
            return
        elif is_ours:
            watch.begin()
        else:
            watch.pause()
            self._figures.forget(watch.check)

    async def _conclude(self) -> None:
        while True:
            await self._context.clock.sleep(LOOK_SECONDS)
            self._replicas.forget_silent()
            if self._is_concluding:
                for together in self._together:
                    await together.publish(self._board, self._revision)

    async def _observed(self, fact: UpstreamObserved) -> None:
        if not self._reports.note(fact):
            return
        for watch in self._watches.values():
            if watch.check.upstream == fact.upstream:
                watch.look_now()

    async def _measured(self, fact: UpstreamsMeasured) -> None:
        self._replicas.note(fact)

    async def _changed(self, fact: UpstreamChanged) -> None:
        self._figures.note_change(fact.upstream, fact.event)

    async def _found(self, entry: Entry[UpstreamSet]) -> None:
        if entry.value is None:
            self._sets.pop(entry.key, None)
        else:
            self._sets[entry.key] = entry.value
        self._renew()


class _Swap:
    """A prepared configuration of this room."""

    def __init__(
        self, service: HealthService, checks: dict[str, Check], revision: Revision
    ) -> None:
        self._service = service
        self._checks = checks
        self._revision = revision

    def commit(self) -> None:
        """Begin the new watches, end the old ones."""
        self._service.take(self._checks, self._revision)

    async def discard(self) -> None:
        """Nothing was begun."""
