"""Renewal times and waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.certs.renewal import is_due, renewal_time, retry_delay

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lifetime", "expected"), [(timedelta(hours=12), 8 * 3600), (timedelta(minutes=5), 200)]
)
def test_a_third_of_any_lifetime_is_left(lifetime, expected):
    due = renewal_time(START, START + lifetime, 1 / 3)
    assert (due - START).total_seconds() == pytest.approx(expected)


def test_due_is_a_moment_not_a_guess():
    end = START + timedelta(hours=3)
    assert not is_due(START + timedelta(hours=1, minutes=59), START, end, 1 / 3)
    assert is_due(START + timedelta(hours=2), START, end, 1 / 3)
    assert is_due(end + timedelta(days=80), START, end, 1 / 3)
    assert not is_due(START - timedelta(hours=1), START, end, 1 / 3)


def test_no_more_than_five_orders_an_hour():
    at, orders = 0.0, 0
    while at < 3600:
        orders += 1
        at += retry_delay(orders, ordered=True)
    assert orders <= 5


def test_an_authority_that_does_not_answer_is_asked_each_minute():
    assert retry_delay(100, ordered=False) == 60
    assert retry_delay(100, ordered=True) == 6 * 3600
