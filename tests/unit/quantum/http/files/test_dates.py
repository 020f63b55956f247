from hypothesis import given
from hypothesis import strategies as st

from quantum.http.files.dates import format_date, parse_date


def test_the_three_forms_of_rfc_9110_5_6_7_are_one_time():
    forms = [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ]
    assert {parse_date(form) for form in forms} == {784111777}
    assert format_date(784111777) == forms[0]


@given(st.integers(0, 4_000_000_000))
def test_a_date_that_was_written_is_read_back(seconds):
    assert parse_date(format_date(seconds)) == seconds


@given(st.binary(max_size=60))
def test_any_bytes_are_a_date_or_none(value):
    assert parse_date(value) is None or isinstance(parse_date(value), int)
