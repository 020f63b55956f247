"""Events in a sliding window."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from services.edge.limiting.window import GRAINS, SlidingWindow

STEPS = st.lists(st.floats(0, 3, allow_nan=False), max_size=200)


@given(steps=STEPS, events=st.integers(1, 20))
def test_no_window_ever_has_more_events_than_allowed(steps, events):
    window, seconds, now, taken = SlidingWindow(), 10.0, 0.0, []
    for step in steps:
        now += step
        if window.wait(now, events, seconds) == 0:
            window.add(now, seconds)
            taken.append(now)
    for first, last in zip(taken, taken[events:], strict=False):
        assert last - first >= seconds


@given(steps=STEPS, events=st.integers(1, 20))
def test_nobody_waits_longer_than_a_grain_more_than_the_exact_window_says(steps, events):
    window, seconds, now, exact = SlidingWindow(), 10.0, 0.0, deque()
    for step in steps:
        now += step
        wait = window.wait(now, events, seconds)
        while exact and exact[0] <= now - seconds:
            exact.popleft()
        due = exact[-events] + seconds - now if len(exact) >= events else 0.0
        assert due <= wait <= due + seconds / GRAINS + 1e-9
        if wait == 0:
            window.add(now, seconds)
            exact.append(now)


def test_who_waits_as_told_is_let_through():
    window = SlidingWindow()
    for now in (0.0, 1.0, 2.0):
        window.add(now, 10.0)
    wait = window.wait(5.0, 3, 10.0)
    assert wait > 0
    assert window.wait(5.0 + wait, 3, 10.0) == 0


def test_memory_does_not_grow_with_how_many_are_allowed():
    window = SlidingWindow()
    for i in range(100_000):
        window.add(i / 1000, 100.0)
    assert len(window._entries) <= GRAINS + 1


def test_nothing_allowed_is_never():
    assert SlidingWindow().wait(0.0, 0, 60.0) == 60.0


def test_counts_of_others_beyond_the_limit_are_waited_for():
    window = SlidingWindow()
    window.add(0.0, 10.0, 7)
    window.add(5.0, 10.0, 7)
    assert window.wait(6.0, 5, 10.0) == 9.0
