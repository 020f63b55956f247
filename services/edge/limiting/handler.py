"""``http.handlers.rate_limit``: a request beyond a limit is answered with 429 and Retry-After.

The plugin of this name is what Caddy users take for it; its configuration is understood. Where several
zones apply, all of them must agree before any of them counts: a request that is refused takes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from prometheus_client import CollectorRegistry, Counter

from quantum.errors import HttpError
from quantum.http.handler import Next
from quantum.http.matcher import Matcher
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.response_fields import early_fields
from quantum.http.route import RouteCompiler
from quantum.modules.lifetime import Provision
from services.edge.limiting.config import RateLimitConfig, ZoneConfig
from services.edge.limiting.leaving import leaving
from services.edge.limiting.zones import Slot, Zone, Zones

EXCEEDED = "http.rate_limit.exceeded.name"
"""The placeholder with the name of the zone whose limit was reached."""
MAX_KEY_LENGTH = 256
"""Characters of a key that are told apart: clients choose some of them, and each is remembered."""


@dataclass(frozen=True, slots=True)
class _Limit:
    zone: Zone
    matches: Matcher | None
    key: Callable[[Request], str]
    config: ZoneConfig

    def key_for(self, request: Request) -> str | None:
        """Return the key under which ``request`` counts; None when it does not."""
        if self.matches is not None and not self.matches(request):
            return None
        return self.key(request)[:MAX_KEY_LENGTH]


class RateLimits:
    """What is counted of all handlers of a process."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self.zones = Zones()
        self.refused = Counter(
            "quantum_edge_rate_limited_total",
            "Requests that a zone of rate_limit refused",
            ["zone"],
            registry=metrics,
        )


class RateLimit:
    """Counts requests, and refuses those beyond the limits of its zones."""

    def __init__(self, config: RateLimitConfig, provision: Provision) -> None:
        limits: RateLimits = provision.get(RateLimits)
        compiler: RouteCompiler = provision.get(RouteCompiler)
        made = [
            _Limit(
                limits.zones.get(name),
                compiler.compile_matchers(zone.match),
                compile_template(zone.key),
                zone,
            )
            for name, zone in config.rate_limits.items()
        ]
        self._windows = [limit for limit in made if limit.config.window]
        self._places = [limit for limit in made if limit.config.max_concurrent]
        for limit in self._windows:
            limit.zone.seconds = limit.config.window
        self._refused = limits.refused
        self._monotonic = provision.clock.monotonic
        self._log = provision.log
        self._jitter, self._logs_key = config.jitter, config.log_key
        self._is_shared = config.distributed is not None

    def link(self, following: Next) -> Next:
        """Return the link."""
        if self._places:
            return self._in_places(following)

        def counted(request: Request) -> Awaitable[Response]:
            self._count(request)
            return following(request)

        return counted

    def _in_places(self, following: Next) -> Next:
        async def placed(request: Request) -> Response:
            slots = self._enter(request)
            try:
                self._count(request)
                response = await following(request)
            except BaseException:
                for slot in slots:
                    slot.leave()
                raise
            return leaving(response, slots) if slots else response

        return placed

    def _enter(self, request: Request) -> list[Slot]:
        slots: list[Slot] = []
        for limit in self._places:
            key = limit.key_for(request)
            if key is None:
                continue
            slot = limit.zone.enter(key, limit.config.max_concurrent)
            if slot is None:
                for taken in slots:
                    taken.leave()
                self._refuse(request, limit.zone, key, 1.0)
            slots.append(slot)
        return slots

    def _count(self, request: Request) -> None:
        """Count ``request`` in every zone that it belongs to, or refuse it and count it in none."""
        now = self._monotonic()
        asked: list[tuple[_Limit, str]] = []
        for limit in self._windows:
            key = limit.key_for(request)
            if key is None:
                continue
            wait = limit.zone.wait(key, now, limit.config.max_events, limit.config.window)
            if wait > 0:
                self._refuse(request, limit.zone, key, wait)
            asked.append((limit, key))
        for limit, key in asked:
            limit.zone.note(key, now, limit.config.window)
            if self._is_shared:
                limit.zone.tell(key)

    def _refuse(self, request: Request, zone: Zone, key: str, wait: float) -> NoReturn:
        wait += random.uniform(0, wait * self._jitter)  # noqa: S311 - spreads clients, guards nothing
        self._refused.labels(zone.name).inc()
        facts = {"key": key} if self._logs_key else {}
        self._log.info(
            "rate_limit_exceeded", zone=zone.name, wait=round(wait, 3),
            remote_ip=request.connection.peer[0], **facts,
        )  # fmt: skip
        request.vars[EXCEEDED] = zone.name
        # Rounded up: who comes back after that many seconds is let through.
        early_fields(request).set(b"retry-after", b"%d" % -(-wait // 1))
        raise HttpError(429, f"the limit of the zone {zone.name!r} is reached")
