"""A circuit breaker, second by second."""

from services.proxy.judging.breaker import Breaker, State
from services.proxy.judging.config import CircuitBreaker


def make(**config):
    usual = {
        "window": "10s",
        "min_requests": 4,
        "max_error_rate": 0.5,
        "open_for": "5s",
        "trials": 2,
    }
    return Breaker(CircuitBreaker.parse(usual | config))


def fail(breaker, count, now=1.0):
    return [breaker.note(now, ok=False) for _ in range(count)]


def test_it_opens_when_enough_requests_failed_and_says_why():
    breaker = make()
    assert fail(breaker, 4) == [False, False, False, True]
    assert breaker.state is State.OPEN
    assert breaker.reason == "circuit open: 100% of 4 requests failed"
    assert not breaker.admits(1.0)


def test_a_few_failures_among_many_do_not_open_it_nor_do_old_ones():
    breaker = make()
    for _ in range(10):
        breaker.note(1.0, ok=True)
    assert not any(fail(breaker, 9))
    late = make()
    fail(late, 3, now=1.0)
    assert not any(fail(late, 3, now=20.0))


def test_half_open_admits_one_trial_at_a_time_and_closes_after_good_ones():
    breaker = make()
    fail(breaker, 4)
    breaker.look(5.9)
    assert breaker.state is State.OPEN
    breaker.look(6.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admits(6.0)
    breaker.chosen(6.0)
    assert not breaker.admits(6.1)
    assert not breaker.note(6.2, ok=True)
    assert breaker.admits(6.2)
    breaker.chosen(6.2)
    assert breaker.note(6.3, ok=True)
    assert breaker.state is State.CLOSED


def test_a_bad_trial_opens_it_twice_as_long_up_to_a_bound():
    breaker = make(max_open_for="12s")
    fail(breaker, 4, now=0.0)
    spans, now = [], breaker.until
    for _ in range(3):
        breaker.look(now)
        breaker.chosen(now)
        breaker.note(now, ok=False)
        spans.append(breaker.until - now)
        now = breaker.until
    assert spans == [10.0, 12.0, 12.0]


def test_a_trial_that_never_ends_makes_room_for_another():
    breaker = make()
    fail(breaker, 4, now=0.0)
    breaker.look(5.0)
    breaker.chosen(5.0)
    assert not breaker.admits(9.9)
    assert breaker.admits(10.0)


def test_what_was_sent_before_it_opened_changes_nothing():
    breaker = make()
    fail(breaker, 4)
    assert not breaker.note(2.0, ok=True)
    assert not breaker.note(2.0, ok=False)
    assert breaker.until == 6.0
