"""Whether a failed request may be tried again: a pure decision by Caddy's rules, and stricter ones.

Caddy: nothing is retried unless ``retries`` or ``try_duration`` is set; what never reached an
upstream is retried always, what may have been processed only for GET, or for what ``retry_match``
matches where it is configured. Beyond Caddy: a request
whose body was consumed is never sent again, and neither is anything once its answer has begun.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.proxy.config import LoadBalancing
from services.proxy.transports.failure import Stage

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 §9.2.2: sending these twice is the same as sending them once."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known after a failure. ``stage`` None: there was no upstream to try.

    ``may_retry`` is what ``retry_match`` says of the request, None where it is not configured.
    """

    stage: Stage | None
    method: str
    is_replayable: bool
    retries: int
    elapsed: float
    may_retry: bool | None = None


def seconds_until_retry(policy: LoadBalancing, tried: Tried) -> float | None:
    """Return how long to wait before the next attempt, None when there shall be none."""
    if not policy.retries and not policy.try_duration:
        return None
    if policy.try_duration and tried.elapsed >= policy.try_duration:
        return None
    if policy.retries and tried.retries >= policy.retries:
        return None
    if not is_safe(tried):
        return None
    return policy.interval


def is_safe(tried: Tried) -> bool:
    """Whether a second attempt cannot do the request's work twice."""
    if not tried.is_replayable:
        return False
    if tried.stage in (None, Stage.DIAL):
        return True
    if tried.may_retry is not None:
        return tried.may_retry
    return tried.method == "GET" or (tried.stage is Stage.STALE and tried.method in IDEMPOTENT)


def may_use_fresh_connection(stage: Stage, method: str, *, is_replayable: bool) -> bool:
    """Whether a kept connection that was closed under a request may be replaced by a new one, once.

    RFC 9110 §9.2.2 allows it for idempotent methods: closing an idle connection crosses with our
    request all the time, and the client has no part in it.
    """
    return stage is Stage.STALE and is_replayable and method in IDEMPOTENT
