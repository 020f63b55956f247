"""What ``GET /reverse_proxy/upstreams`` shows: Caddy's three fields, then what this program knows beyond.

The states are this process's; the figures are those of all processes of the deployment together, others'
at most a second old.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from quantum.clock import Clock
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.latency import merged, quantile
from services.proxy.judging.figures import Exchange, figures_of
from services.proxy.upstreams import Member, Roster

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_WORST_FIRST = (
    "unhealthy", "ejected", "open", "failing", "half_open", "warming", "full", "healthy",
)  # fmt: skip


class Report:
    """Makes the rows, one per address; the worst state among the handlers that use it."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock

    def rows(self, rosters: Iterable[Roster]) -> list[dict[str, Any]]:
        """Return the state of every upstream."""
        found: dict[str, tuple[str, Roster, Member]] = {}
        for roster in rosters:
            for member in roster.members:
                state = roster.state_of(member)
                known = found.get(member.address)
                if known is None or _WORST_FIRST.index(state) < _WORST_FIRST.index(known[0]):
                    found[member.address] = (state, roster, member)
        return [self._row(*one) for one in found.values()]

    def _row(self, state: str, roster: Roster, member: Member) -> dict[str, Any]:
        now, upstream = self._clock.monotonic(), member.upstream
        figures = [figures_of(upstream, now), *self._exchange.others(member.address)]
        latency = merged(row.latency for row in figures)
        age = max(0.0, roster.now() - member.since)
        return {
            "address": member.address,
            "num_requests": sum(row.in_flight for row in figures),
            "fails": sum(row.fails for row in figures),
            "healthy": not member.reason,
            "state": state,
            "reason": member.reason,
            "since": (self._clock.now() - timedelta(seconds=age)).isoformat(timespec="seconds"),
            "requests": sum(row.requests for row in figures),
            "errors": sum(row.errors for row in figures),
            "latency": {name: _rounded(quantile(latency, q)) for name, q in QUANTILES.items()},
            "processes": len(figures),
            "panic": roster.is_panicking,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)


class UpstreamReport:
    """The service handler ``upstreams``: GET answers a JSON list."""

    def __init__(self, rows: Callable[[], list[dict[str, Any]]]) -> None:
        self._rows = rows

    async def handle(self, request: Request) -> Response:
        """Answer with the state of the upstreams."""
        body = json.dumps(self._rows()).encode()
        return Response(200, Headers([(b"content-type", b"application/json")]), body)
