"""Upstreams: what this process knows of each backend, and each handler's list of them.

An ``Upstream`` is shared by all handlers that name its address: requests under way and recent
failures belong to the machine behind it, not to a route. A ``Member`` is an upstream as one handler
uses it; the ``Roster`` is that handler's list and keeps ready which of them may be chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random

from quantum.config.units import NetworkAddress
from quantum.latency import LatencyDigest
from quantum.outliers import Figures
from services.proxy.config import UpstreamConfig
from services.proxy.judging.breaker import Breaker, State
from services.proxy.judging.config import HealthChecks, PassiveChecks
from services.proxy.transports.pool import ConnectionPool

OFF = PassiveChecks()
"""Passive checks of a handler that configures none."""


class Upstream:
    """One backend address: counters, and failures not yet forgotten."""

    __slots__ = (
        "_changed", "address", "classes", "ejections", "failed", "fails", "freed",
        "in_flight", "last_failure", "latency", "requests", "retries", "seconds", "strikes", "users",
    )  # fmt: skip

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.fails = 0
        self.requests = 0
        self.failed = 0
        self.strikes = 0
        self.retries = 0
        self.ejections = 0
        self.classes = [0] * 10
        """Answers by the first digit of their status."""
        self.seconds = 0.0
        self.latency = LatencyDigest(asyncio.get_running_loop().time())
        self.last_failure = ""
        self.users = 0
        self.freed: list[Callable[[], None]] = []
        """Called when a request has ended: queues look for room then."""
        self._changed: set[Callable[[], None]] = set()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever the number of remembered failures changes."""
        self._changed.add(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Stop calling it."""
        self._changed.discard(changed)

    @property
    def answers(self) -> int:
        """Attempts that were answered."""
        return sum(self.classes)

    @property
    def errors(self) -> int:
        """Attempts without an answer, and those answered by a 5xx."""
        return self.failed + sum(self.classes[5:])

    def answered(self, status: int, took: float, now: float) -> None:
        """Note an answer whose head took ``took`` seconds."""
        self.classes[status // 100] += 1
        self.seconds += took
        self.latency.note(took, now)

    def count_failure(self, reason: str, remember: float) -> None:
        """Note an attempt without an answer."""
        self.failed += 1
        self.strike(reason, remember)

    def strike(self, reason: str, remember: float) -> None:
        """Hold something against the upstream for ``remember`` seconds (0: not at all)."""
        self.last_failure = reason
        if remember > 0:
            self.fails += 1
            self.strikes += 1
            asyncio.get_running_loop().call_later(remember, self._forget)
            self._tell()

    def figures(self) -> Figures:
        """Return what was counted so far."""
        return Figures(self.answers + self.failed, self.errors, self.answers, self.seconds)

    def _forget(self) -> None:
        self.fails -= 1
        self._tell()

    def _tell(self) -> None:
        for changed in tuple(self._changed):
            changed()


class Upstreams:
    """All upstreams of the process, by address."""

    def __init__(self) -> None:
        self._known: dict[str, Upstream] = {}

    def __iter__(self) -> Iterator[Upstream]:
        return iter(tuple(self._known.values()))

    def join(self, address: str) -> Upstream:
        """Return the upstream at ``address`` for one more user; ``leave`` when done."""
        upstream = self._known.setdefault(address, Upstream(address))
        upstream.users += 1
        return upstream

    def leave(self, upstream: Upstream) -> None:
        """Forget the upstream when this was its last user."""
        upstream.users -= 1
        if upstream.users <= 0:
            self._known.pop(upstream.address, None)


class Member:
    """An upstream as one handler uses it.

    What speaks against it: ``down`` (the active check), ``together`` (what all proxies saw), ``ejected`` (an
    outlier here), its ``breaker``. ``reason`` is the sum of it since ``since``, "" while it is healthy;
    ``warm_from`` is set while it starts slowly.
    """

    __slots__ = (
        "address", "breaker", "down", "ejected", "host_port", "is_backup", "limit", "own_host", "pool",
        "position", "reason", "since", "together", "upstream", "warm_from", "weight", "zone",
    )  # fmt: skip

    def __init__(
        self, position: int, config: UpstreamConfig, upstream: Upstream, pool: ConnectionPool
    ) -> None:
        self.position = position
        self.address = config.dial
        self.host_port = NetworkAddress.parse(config.dial).host_port().encode()
        self.own_host: bytes | None = None
        """What the Host field says instead of the client's: over TLS, the upstream's own name."""
        self.upstream = upstream
        self.pool = pool
        self.limit = config.max_requests
        self.weight = config.weight
        self.is_backup = config.backup
        self.zone = config.zone
        self.down = ""
        self.together = ""
        self.ejected = ""
        self.breaker: Breaker | None = None
        self.reason = ""
        self.since = asyncio.get_running_loop().time()
        self.warm_from: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether it has as many requests as it may."""
        return bool(self.limit) and self.upstream.in_flight >= self.limit


class Roster:
    """The members of one handler. ``available`` is kept ready: choosing costs no scan per request."""

    def __init__(self, members: Sequence[Member], checks: HealthChecks | None = None) -> None:
        checks = checks or HealthChecks()
        self.members = tuple(members)
        self.is_panicking = False
        self._passive = checks.passive or OFF
        self._slow_start = checks.slow_start
        self._panic_threshold = checks.panic_threshold
        self._loop = asyncio.get_running_loop()
        self._random = Random()  # noqa: S311 - spreads load
        for member in self.members:
            self._enter(member)
        self._is_limited = any(member.limit for member in self.members)
        self._is_special = self._is_limited
        self._healthy: tuple[Member, ...] = self.members

    def join(self, member: Member) -> None:
        """Add a member."""
        self._enter(member)
        self.members += (member,)
        self._is_limited = self._is_limited or bool(member.limit)
        self.refresh()

    def part(self, member: Member) -> None:
        """Take a member out; requests it has end by themselves."""
        self.members = tuple(one for one in self.members if one is not member)
        if not any(one.upstream is member.upstream for one in self.members):
            member.upstream.unwatch(self.refresh)
        self.refresh()

    def _enter(self, member: Member) -> None:
        if self._passive.unhealthy_request_count:
            limits = (member.limit, self._passive.unhealthy_request_count)
            member.limit = min(limit for limit in limits if limit)
        member.upstream.watch(self.refresh)

    def available(self) -> tuple[Member, ...]:
        """Return who may be chosen now: healthy, below its limit, admitted by its breaker, warm enough."""
        if not self._is_special:
            return self._healthy
        now = self._loop.time()
        admitted = tuple(m for m in self._healthy if not m.is_full and _admits(m, now))
        if self._slow_start is not None:
            return tuple(m for m in admitted if self._is_in_turn(m, now)) or admitted
        return admitted

    def refresh(self) -> None:
        """Work out again who is healthy; whoever changes a member's state calls it."""
        now = self._loop.time()
        for member in self.members:
            self._renew(member, now)
        healthy = tuple(m for m in self.members if not m.reason)
        share = len(healthy) / len(self.members) if self.members else 1.0
        self.is_panicking = share < self._panic_threshold
        self._healthy = self.members if self.is_panicking else healthy
        self._is_special = self._is_limited or any(
            m.breaker is not None or m.warm_from is not None for m in self.members
        )

    def reason_against(self, member: Member) -> str:
        """Return why ``member`` is not healthy, "" when it is."""
        if member.down or member.together or member.ejected:
            return member.down or member.ejected or member.together
        if self._passive.fail_duration and member.upstream.fails >= self._passive.max_fails:
            return f"{member.upstream.fails} failed requests, last: {member.upstream.last_failure}"
        if member.breaker is not None and member.breaker.state is State.OPEN:
            return member.breaker.reason
        return ""

    def state_of(self, member: Member) -> str:
        """Return one word for the state of ``member``."""
        if member.down:
            return "unhealthy"
        if member.ejected or member.together:
            return "ejected"
        if member.reason:
            is_open = member.breaker is not None and member.breaker.state is State.OPEN
            return "open" if is_open else "failing"
        if member.breaker is not None and member.breaker.state is State.HALF_OPEN:
            return "half_open"
        if member.warm_from is not None:
            return "warming"
        return "full" if member.is_full else "healthy"

    def now(self) -> float:
        """Return the time that ``since`` of members is counted in."""
        return self._loop.time()

    def close(self) -> None:
        """Stop watching."""
        for upstream in {member.upstream for member in self.members}:
            upstream.unwatch(self.refresh)

    def _renew(self, member: Member, now: float) -> None:
        """Bring a member's reason up to date; who comes back starts slowly."""
        if member.breaker is not None:
            member.breaker.look(now)
        reason = self.reason_against(member)
        if bool(reason) == bool(member.reason):
            member.reason = reason
            return
        member.reason, member.since, member.warm_from = reason, now, None
        member.upstream.ejections += bool(reason)
        if not reason and self._slow_start is not None:
            member.warm_from = now
            self._loop.call_later(self._slow_start.duration, self._warmed, member, now)

    def _warmed(self, member: Member, began: float) -> None:
        if member.warm_from == began:
            member.warm_from = None
            self.refresh()

    def _is_in_turn(self, member: Member, now: float) -> bool:
        """Whether a warming member takes part in this choice: more often from second to second."""
        if member.warm_from is None or self._slow_start is None:
            return True
        least = self._slow_start.min_share
        share = least + (1 - least) * (now - member.warm_from) / self._slow_start.duration
        return self._random.random() < share


def _admits(member: Member, now: float) -> bool:
    return member.breaker is None or member.breaker.admits(now)
