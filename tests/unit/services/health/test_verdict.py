"""What samples mean."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.testing.clock import EPOCH
from services.health.verdict import Sample, Verdict, judge, passes_needed

GOOD, BAD = Sample(True), Sample(False, "status 500")


def after(*samples, passes=1, fails=1, start=None):
    verdict = start or Verdict()
    for sample in samples:
        verdict = judge(verdict, sample, passes=passes, fails=fails)
    return verdict


def test_an_upstream_nobody_has_looked_at_is_assumed_healthy():
    assert Verdict().healthy
    assert not Verdict().is_known


def test_one_bad_sample_is_enough_by_default_and_says_why():
    verdict = after(BAD)
    assert not verdict.healthy
    assert verdict.reason == "status 500"


def test_it_takes_as_many_bad_samples_in_a_row_as_configured():
    assert after(BAD, BAD, fails=3).healthy
    assert after(BAD, BAD, GOOD, BAD, BAD, fails=3).healthy
    assert not after(BAD, BAD, BAD, fails=3).healthy


def test_it_takes_as_many_good_samples_in_a_row_to_come_back():
    assert not after(BAD, GOOD, passes=2).healthy
    assert not after(BAD, GOOD, BAD, GOOD, passes=2).healthy
    verdict = after(BAD, GOOD, GOOD, passes=2)
    assert verdict.healthy
    assert verdict.reason == ""


def test_bad_samples_below_the_threshold_confirm_nothing():
    assert not after(BAD, BAD, fails=3).is_known
    assert after(GOOD, fails=3).is_known


samples = st.lists(st.sampled_from([GOOD, BAD]), max_size=40)
thresholds = st.integers(1, 5)


@given(samples, thresholds, thresholds)
def test_a_verdict_changes_only_after_a_full_run_of_samples_against_it(history, passes, fails):
    verdict = Verdict()
    for index, sample in enumerate(history):
        before, verdict = verdict, judge(verdict, sample, passes=passes, fails=fails)
        if verdict.healthy != before.healthy:
            needed = passes if verdict.healthy else fails
            run = history[index + 1 - needed : index + 1]
            assert len(run) == needed
            assert all(one.ok == verdict.healthy for one in run)


@given(samples, thresholds, thresholds)
def test_a_full_run_of_equal_samples_always_decides(history, passes, fails):
    assert after(*history, *[GOOD] * passes, passes=passes, fails=fails).healthy
    assert not after(*history, *[BAD] * fails, passes=passes, fails=fails).healthy


@given(samples, thresholds, thresholds)
def test_a_verdict_that_is_down_has_a_reason_and_one_that_is_up_has_none(history, passes, fails):
    verdict = after(*history, passes=passes, fails=fails)
    assert bool(verdict.reason) is not verdict.healthy


@pytest.mark.parametrize(("falls", "needed"), [(0, 2), (3, 2), (4, 4), (5, 8), (6, 16), (20, 16)])
def test_falls_within_the_window_raise_the_number_of_passes(falls, needed):
    times = [EPOCH - timedelta(seconds=10 * n) for n in range(falls)]
    assert passes_needed(2, times, EPOCH) == needed


def test_falls_of_long_ago_are_forgotten():
    assert passes_needed(1, [EPOCH - timedelta(minutes=11)] * 9, EPOCH) == 1
