"""Upstreams: what this process knows of each backend, and each handler's list of them.

An ``Upstream`` is shared by all handlers that name its address: requests under way and recent
failures belong to the machine behind it, not to a route. A ``Member`` is an upstream as one handler
uses it; the ``Roster`` is that handler's list and keeps ready which of them may be chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from quantum.config.units import NetworkAddress
from services.proxy.config import PassiveChecks, UpstreamConfig
from services.proxy.transports.pool import ConnectionPool

OFF = PassiveChecks()
"""Passive checks of a handler that configures none."""


class Upstream:
    """One backend address: counters, and failures not yet forgotten."""

    __slots__ = (
        "_changed", "address", "failed", "fails", "in_flight", "last_failure", "requests",
        "seconds", "users",
    )  # fmt: skip

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.fails = 0
        self.requests = 0
        self.failed = 0
        self.seconds = 0.0
        self.last_failure = ""
        self.users = 0
        self._changed: set[Callable[[], None]] = set()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever the number of remembered failures changes."""
        self._changed.add(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Stop calling it."""
        self._changed.discard(changed)

    def count_failure(self, reason: str, remember: float) -> None:
        """Note a failure; hold it against the upstream for ``remember`` seconds."""
        self.failed += 1
        self.last_failure = reason
        if remember > 0:
            self.fails += 1
            asyncio.get_running_loop().call_later(remember, self._forget)
            self._tell()

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
    """An upstream as one handler uses it. ``down`` is the active check's reason, "" while healthy."""

    __slots__ = ("address", "down", "host_port", "limit", "pool", "position", "upstream")

    def __init__(
        self, position: int, config: UpstreamConfig, upstream: Upstream, pool: ConnectionPool
    ) -> None:
        self.position = position
        self.address = config.dial
        self.host_port = NetworkAddress.parse(config.dial).host_port().encode()
        self.upstream = upstream
        self.pool = pool
        self.limit = config.max_requests
        self.down = ""


class Roster:
    """The members of one handler. ``available`` is kept ready: choosing costs no scan per request."""

    def __init__(self, members: Sequence[Member], passive: PassiveChecks | None) -> None:
        self.members = tuple(members)
        self._passive = passive or OFF
        if self._passive.unhealthy_request_count:
            for member in self.members:
                limits = (member.limit, self._passive.unhealthy_request_count)
                member.limit = min(limit for limit in limits if limit)
        self._is_limited = any(member.limit for member in self.members)
        self._healthy: tuple[Member, ...] = self.members
        for upstream in {member.upstream for member in self.members}:
            upstream.watch(self.refresh)

    def available(self) -> tuple[Member, ...]:
        """Return who may be chosen now: healthy, and below its limit of requests."""
        if not self._is_limited:
            return self._healthy
        return tuple(m for m in self._healthy if not m.limit or m.upstream.in_flight < m.limit)

    def refresh(self) -> None:
        """Work out again who is healthy; whoever changes a member's state calls it."""
        self._healthy = tuple(m for m in self.members if not self.reason_against(m))

    def reason_against(self, member: Member) -> str:
        """Return why ``member`` is not healthy, "" when it is."""
        if member.down:
            return member.down
        if self._passive.fail_duration and member.upstream.fails >= self._passive.max_fails:
            return f"{member.upstream.fails} failed requests, last: {member.upstream.last_failure}"
        return ""

    def close(self) -> None:
        """Stop watching."""
        for upstream in {member.upstream for member in self.members}:
            upstream.unwatch(self.refresh)
