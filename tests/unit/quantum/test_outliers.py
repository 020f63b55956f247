"""Who does clearly worse than the others, and who is left out for how long."""

from types import SimpleNamespace

import pytest

from quantum.outliers import Ejections, Figures, Series, find_outliers, room_for


def rules(**changed):
    usual = {
        "window": 10.0,
        "min_requests": 10,
        "max_error_rate": 0.2,
        "latency_factor": 3.0,
        "min_latency": 0.05,
        "max_ejected": 0.5,
        "eject_for": 30.0,
        "max_eject_for": 100.0,
    }
    return SimpleNamespace(**usual | changed)


def seen(requests, errors=0, mean=0.01):
    answers = requests - errors
    return Figures(requests, errors, answers, answers * mean)


def test_who_fails_more_often_than_allowed_is_an_outlier_and_the_worst_comes_first():
    found = find_outliers({"a": seen(50), "b": seen(50, 15), "c": seen(50, 40)}, rules())
    assert list(found) == ["c", "b"]
    assert found["b"] == "30% of 50 requests failed"


def test_few_requests_say_nothing():
    assert find_outliers({"a": seen(9, 9), "b": seen(50)}, rules()) == {}


def test_who_is_slow_against_the_others_is_an_outlier_unless_everybody_is():
    slow = {"a": seen(50, mean=0.2), "b": seen(50), "c": seen(50)}
    assert list(find_outliers(slow, rules())) == ["a"]
    assert find_outliers({k: seen(50, mean=0.2) for k in "abc"}, rules()) == {}
    assert find_outliers(slow, rules(latency_factor=0.0)) == {}
    fast = {"a": seen(50, mean=0.04), "b": seen(50, mean=0.001), "c": seen(50, mean=0.001)}
    assert find_outliers(fast, rules()) == {}


@pytest.mark.parametrize(
    ("total", "ejected", "share", "room"),
    [
        (5, 0, 0.5, 2),
        (5, 2, 0.5, 0),
        (2, 0, 0.1, 1),
        (1, 0, 1.0, 0),
        (3, 0, 1.0, 2),
        (10, 1, 0.3, 2),
    ],
)
def test_the_share_that_may_be_out_is_bounded_and_the_last_stays(total, ejected, share, room):
    assert room_for(total, ejected, share) == room


def test_no_more_than_the_share_is_left_out_however_many_fail():
    ejections = Ejections(rules(max_ejected=0.4))
    assert ejections.consider(5, {k: seen(50, 50) for k in "abcde"}, 0.0)
    assert len(ejections.out) == 2


def test_an_ejection_lasts_longer_each_time_up_to_its_bound_and_is_forgiven():
    ejections = Ejections(rules())
    now, spans = 0.0, []
    for _ in range(3):
        assert ejections.consider(3, {"a": seen(50, 50)}, now)
        began = now
        while ejections.out:
            now += 1
            ejections.consider(3, {}, now)
        spans.append(now - began)
    assert spans == [30, 60, 100]
    now += 101
    ejections.consider(3, {"a": seen(50, 50)}, now)
    ejections.consider(3, {}, now + 30)
    assert ejections.out == {}


def test_figures_from_before_the_return_do_not_count():
    ejections = Ejections(rules(eject_for=5.0))
    ejections.consider(3, {"a": seen(50, 50)}, 0.0)
    ejections.consider(3, {}, 5.0)
    assert ejections.counts_from("a", 7.0) == 5.0
    assert ejections.counts_from("b", 7.0) == -3.0


def test_a_series_gives_what_came_in_the_window():
    series = Series(10.0)
    for second in range(30):
        series.note(float(second), Figures(second * 10, second, second * 9, second * 1.0))
    assert series.since(24.0) == Figures(50, 5, 45, 5.0)
    assert Series(10.0).since(0.0) == Figures()
    assert len(series._notes) < 14
