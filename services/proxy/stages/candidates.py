"""Whom a policy may choose from, for handlers where that is more than who is available."""

from __future__ import annotations

import asyncio

from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from services.proxy.config import ReverseProxyConfig
from services.proxy.discovery.discovery import Discovery
from services.proxy.selection.narrowing import in_zone, without_backups
from services.proxy.stages.budget import RetryBudget
from services.proxy.stages.queueing import Queue
from services.proxy.upstreams import Member, Roster


def make_candidates(
    config: ReverseProxyConfig, roster: Roster, discovery: Discovery | None, queue: Queue | None
) -> Candidates | None:
    """Return what narrows the choice of a handler, None when nothing does."""
    balancing = config.load_balancing
    wanted = (
        discovery is not None,
        queue is not None,
        balancing.zone_preference is not None,
        balancing.retry_budget is not None,
        any(upstream.backup for upstream in config.upstreams),
    )
    return Candidates(config, roster, discovery, queue) if any(wanted) else None


class Candidates:
    """Discovered members, backups, zones, the queue; and the budget of retries."""

    def __init__(
        self,
        config: ReverseProxyConfig,
        roster: Roster,
        discovery: Discovery | None,
        queue: Queue | None,
    ) -> None:
        self._roster = roster
        self._discovery = discovery
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        budget, zone = config.load_balancing.retry_budget, config.load_balancing.zone_preference
        self._budget = None if budget is None else RetryBudget(budget)
        self._zone = None if zone is None else compile_template(zone.zone)
        self._min_available = 0.0 if zone is None else zone.min_available

    async def find(self, request: Request, failed: frozenset[Member]) -> tuple[Member, ...]:
        """Return who may be chosen; waits in the queue where there is one and everybody is full."""
        if self._budget is not None and not failed:
            self._budget.note(self._loop.time())
        found = None
        if self._discovery is not None:
            found = await self._discovery.members(request)
        zone = "" if self._zone is None else self._zone(request)

        def look() -> tuple[Member, ...]:
            return self._look(found, failed, zone)

        queue = self._queue
        if queue is None:
            return look()
        if not len(queue) and (available := look()):
            return available
        if self._is_worth_waiting(found):
            return await queue.wait(look, request.deadline)
        return ()

    def may_retry(self) -> bool:
        """Whether the budget has a retry left; it is spent then."""
        return self._budget is None or self._budget.take(self._loop.time())

    def _look(
        self, found: frozenset[Member] | None, failed: frozenset[Member], zone: str
    ) -> tuple[Member, ...]:
        everybody = self._roster.members
        available = self._roster.available()
        if found is not None:
            everybody = tuple(m for m in everybody if m in found)
            available = tuple(m for m in available if m in found)
        if failed:
            available = tuple(m for m in available if m not in failed) or available
        available = without_backups(available)
        return in_zone(available, everybody, zone, self._min_available) if zone else available

    def _is_worth_waiting(self, found: frozenset[Member] | None) -> bool:
        """Whether an upstream works and is only full."""
        return any(
            member.is_full and not member.reason
            for member in self._roster.members
            if found is None or member in found
        )
