"""When a failed request is tried again, and when never."""

import itertools

import pytest

from services.proxy.config import LoadBalancing
from services.proxy.retry import Tried, may_use_fresh_connection, seconds_until_retry
from services.proxy.transports.failure import Stage


def tried(stage=Stage.DIAL, method="GET", is_replayable=True, retries=0, elapsed=0.0):
    return Tried(stage, method, is_replayable, retries, elapsed)


def test_nothing_is_retried_unless_it_is_configured():
    assert seconds_until_retry(LoadBalancing(), tried()) is None


def test_retries_are_counted():
    policy = LoadBalancing(retries=2)
    waits = [seconds_until_retry(policy, tried(retries=n)) for n in range(3)]
    assert waits == [0.0, 0.0, None]


def test_a_duration_waits_a_quarter_second_between_attempts_until_it_is_over():
    policy = LoadBalancing.parse({"try_duration": "2s"})
    assert seconds_until_retry(policy, tried(elapsed=1.9)) == 0.25
    assert seconds_until_retry(policy, tried(elapsed=2.0)) is None


@pytest.mark.parametrize(
    ("stage", "method", "again"),
    [
        (Stage.DIAL, "POST", True),
        (None, "POST", True),
        (Stage.SENT, "GET", True),
        (Stage.SENT, "HEAD", False),
        (Stage.SENT, "PUT", False),
        (Stage.SENT, "POST", False),
        (Stage.STALE, "PUT", True),
        (Stage.STALE, "POST", False),
    ],
)
def test_only_what_cannot_work_twice_is_sent_again(stage, method, again):
    wait = seconds_until_retry(LoadBalancing(retries=3), tried(stage, method))
    assert (wait is not None) is again


def test_a_consumed_body_is_never_sent_again():
    for stage, method in itertools.product([None, *Stage], ["GET", "POST"]):
        failed = tried(stage, method, is_replayable=False)
        assert seconds_until_retry(LoadBalancing(retries=3), failed) is None


def test_a_fresh_connection_is_for_stale_ones_and_idempotent_requests_alone():
    allowed = {
        (stage, method)
        for stage in Stage
        for method in ("GET", "PUT", "POST", "PATCH")
        if may_use_fresh_connection(stage, method, is_replayable=True)
    }
    assert allowed == {(Stage.STALE, "GET"), (Stage.STALE, "PUT")}
    assert not may_use_fresh_connection(Stage.STALE, "GET", is_replayable=False)
