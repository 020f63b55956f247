"""Sections are those of RFC 9110."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.http.files.ranges import MOST_RANGES, Unsatisfiable, parse_ranges


def parts(value, size=10):
    ranges = parse_ranges(value.encode(), size)
    return None if ranges is None else [(r.first, r.end) for r in ranges]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-4", [(2, 5)]),
        ("bytes=2-", [(2, 10)]),
        ("bytes=2-99", [(2, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-99", [(0, 10)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes=0-1,4-5", [(0, 2), (4, 6)]),
        ("bytes= 0-1 ,\t-2", [(0, 2), (8, 10)]),
        ("bytes=0-1,20-30", [(0, 2)]),
        ("bytes=,0-1", [(0, 2)]),
    ],
)
def test_14_1_2_ranges_that_are_sent(value, wanted):
    assert parts(value) == wanted


@pytest.mark.parametrize(
    "value",
    [
        "", "bytes", "bytes=", "lines=0-1", "bytes=a-b", "bytes=-", "bytes=4-2", "bytes=0-1,x", "bytes=--1",
        "bytes=0-1;2-3", "bytes=+1-2", "bytes=0x1-2", "bytes=٣-٤", "bytes=" + "9" * 19 + "-",
    ],
)  # fmt: skip
def test_14_2_what_is_not_understood_is_ignored(value):
    assert parts(value) is None


def test_more_than_the_whole_is_the_whole():
    assert parts("bytes=0-,0-") is None
    assert parts("bytes=" + ",".join(["0-0"] * (MOST_RANGES + 1)), 1000) is None


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-12,20-"])
def test_15_5_17_nothing_satisfiable(value):
    with pytest.raises(Unsatisfiable) as info:
        parts(value)
    assert info.value.content_range == b"bytes */10"


@given(st.text(alphabet="0123456789-, bytes=", max_size=30), st.integers(0, 100))
def test_any_field_gives_parts_inside_the_file(text, size):
    try:
        ranges = parse_ranges(b"bytes=" + text.encode(), size)
    except Unsatisfiable:
        return
    for part in ranges or []:
        assert 0 <= part.first < part.end <= size
    assert sum(map(len, ranges or [])) <= size
