"""Differences are named by the outermost place that changed."""

from quantum.config.diff import differing_paths


def test_equal_documents_do_not_differ():
    assert differing_paths({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []


def test_changed_added_and_removed_values_are_named():
    before = {"a": {"x": 1, "y": 2}, "gone": {"deep": 1}}
    after = {"a": {"x": 1, "y": 3}, "new": []}
    assert differing_paths(before, after) == ["a.y", "gone", "new"]


def test_an_element_of_an_array_is_named_and_a_longer_array_as_a_whole():
    assert differing_paths({"l": [1, {"p": 2}]}, {"l": [1, {"p": 3}]}) == ["l[1].p"]
    assert differing_paths({"l": [1]}, {"l": [1, 2]}) == ["l"]


def test_a_value_is_not_equal_to_another_type_of_the_same_worth():
    assert differing_paths({"a": 1}, {"a": True}) == ["a"]
    assert differing_paths({"a": None}, {}) == ["a"]
    assert differing_paths([], {}) == [""]
