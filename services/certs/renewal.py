"""When to renew and when to try again: pure functions of dates and counts."""

from __future__ import annotations

from datetime import datetime

RETRY_SECONDS = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0, 21600.0)
"""Waits after the first, second, … failed order. Within an hour this makes five orders: the most that
public authorities take well for one name."""

UNREACHABLE_SECONDS = 60.0
"""Wait after an attempt that placed no order (the authority did not answer): it costs nobody anything."""


def renewal_time(not_before: datetime, not_after: datetime, ratio: float) -> datetime:
    """Return when ``ratio`` of the lifetime is left."""
    return not_after - (not_after - not_before) * ratio


def is_due(now: datetime, not_before: datetime, not_after: datetime, ratio: float) -> bool:
    """Whether to renew; a certificate of the future (the clock was set back) is not due."""
    return now >= renewal_time(not_before, not_after, ratio)


def retry_delay(failures: int, *, ordered: bool) -> float:
    """Return the seconds to wait after the ``failures``-th failure in a row."""
    if not ordered:
        return UNREACHABLE_SECONDS
    return RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
