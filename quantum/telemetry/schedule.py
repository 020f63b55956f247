"""When a log file is rolled by the clock: after a while, at minutes of the hour, at times of the day. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Schedule:
    """``interval`` in seconds (0: none); ``minutes`` of each hour; ``times`` of the day, in minutes from midnight."""

    interval: float = 0.0
    minutes: tuple[int, ...] = ()
    times: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.interval or self.minutes or self.times)

    def is_due(self, began: datetime, now: datetime) -> bool:
        """Whether a file that began then is to be rolled now; both in the zone that the times are of."""
        if self.interval and (now - began).total_seconds() >= self.interval:
            return True
        marks = {*self.times, *(hour * 60 + m for hour in range(24) for m in self.minutes)}
        if not marks:
            return False
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        passed = max((m for m in marks if midnight + timedelta(minutes=m) <= now), default=None)
        latest = max(marks) - DAY_MINUTES if passed is None else passed  # yesterday's last one
        return began < midnight + timedelta(minutes=latest)


def minutes_of(text: str) -> int:
    """Return the minutes from midnight of ``HH:MM``; ValueError."""
    hour, colon, minute = text.partition(":")
    is_time = colon and hour.isdecimal() and minute.isdecimal() and len(minute) == 2
    if not is_time or int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"{text!r} is no time of the day: HH:MM")
    return int(hour) * 60 + int(minute)
