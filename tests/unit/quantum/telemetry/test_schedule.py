"""When a log file is rolled by the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from quantum.telemetry.schedule import Schedule, minutes_of


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "began", "now", "due"),
    [
        (Schedule(), at(1, 0), at(20, 0), False),
        (Schedule(interval=3600), at(1, 0), at(1, 0, 59, 59), False),
        (Schedule(interval=3600), at(1, 0), at(1, 1), True),
        (Schedule(minutes=(0, 30)), at(1, 10, 5), at(1, 10, 29), False),
        (Schedule(minutes=(0, 30)), at(1, 10, 5), at(1, 10, 30), True),
        (Schedule(minutes=(0, 30)), at(1, 10, 30), at(1, 10, 59), False),
        (Schedule(times=(3 * 60,)), at(1, 4), at(2, 2, 59), False),
        (Schedule(times=(3 * 60,)), at(1, 4), at(2, 3), True),
        (Schedule(times=(3 * 60,)), at(1, 2), at(2, 1), True),  # yesterday's was missed
        (Schedule(times=(0,)), at(1, 23, 59), at(2, 0), True),
        (Schedule(interval=1e9, times=(60,)), at(1, 0), at(1, 2), True),
    ],
)
def test_a_file_is_due_when_a_mark_lies_between_its_beginning_and_now(schedule, began, now, due):
    assert schedule.is_due(began, now) is due


@pytest.mark.parametrize("text", ["", "24:00", "1:60", "12", "1:5", "a:00", "-1:00"])
def test_what_is_no_time_of_the_day_is_refused(text):
    with pytest.raises(ValueError, match="HH:MM"):
        minutes_of(text)
    assert minutes_of("23:59") == 1439
