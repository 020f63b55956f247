"""Sections are those of RFC 9110."""

import pytest

from quantum.http.files.conditional import Verdict, entity_tags, evaluate, range_applies
from quantum.http.headers import Headers

MODIFIED = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
SAME, EARLIER, LATER = (f"Tue, 14 Nov 2023 22:13:{s} GMT" for s in ("20", "19", "21"))
GO, UNCHANGED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED


def headers(**fields):
    return Headers([(k.replace("_", "-").encode(), v.encode()) for k, v in fields.items()])


@pytest.mark.parametrize(
    ("fields", "get", "put"),
    [
        ({}, GO, GO),
        # 13.1.1 If-Match: strong comparison
        ({"if_match": '"v1"'}, GO, GO),
        ({"if_match": '"v0", "v1"'}, GO, GO),
        ({"if_match": '"v0"'}, FAILED, FAILED),
        ({"if_match": 'W/"v1"'}, FAILED, FAILED),
        ({"if_match": "*"}, GO, GO),
        # 13.1.2 If-None-Match: weak comparison
        ({"if_none_match": '"v1"'}, UNCHANGED, FAILED),
        ({"if_none_match": 'W/"v1"'}, UNCHANGED, FAILED),
        ({"if_none_match": '"v0"'}, GO, GO),
        ({"if_none_match": "*"}, UNCHANGED, FAILED),
        # 13.1.3 If-Modified-Since: only for GET and HEAD, ignored when it is no date
        ({"if_modified_since": SAME}, UNCHANGED, GO),
        ({"if_modified_since": LATER}, UNCHANGED, GO),
        ({"if_modified_since": EARLIER}, GO, GO),
        ({"if_modified_since": "yesterday"}, GO, GO),
        # 13.1.4 If-Unmodified-Since
        ({"if_unmodified_since": SAME}, GO, GO),
        ({"if_unmodified_since": EARLIER}, FAILED, FAILED),
        ({"if_unmodified_since": "yesterday"}, GO, GO),
        # 13.2.2 precedence: the tags decide, the dates beside them are ignored
        ({"if_match": '"v1"', "if_unmodified_since": EARLIER}, GO, GO),
        ({"if_none_match": '"v0"', "if_modified_since": SAME}, GO, GO),
        ({"if_match": '"v0"', "if_none_match": '"v1"'}, FAILED, FAILED),
        ({"if_match": '"v1"', "if_none_match": '"v1"'}, UNCHANGED, FAILED),
    ],
)
def test_preconditions_of_what_exists(fields, get, put):
    for method, wanted in {"GET": get, "HEAD": get, "PUT": put}.items():
        assert evaluate(method, headers(**fields), b'"v1"', MODIFIED) is wanted


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, GO),
        ({"if_none_match": "*"}, GO),
        ({"if_none_match": '"v1"'}, GO),
        ({"if_match": "*"}, FAILED),
        ({"if_match": '"v1"'}, FAILED),
    ],
)
def test_preconditions_of_what_does_not_exist(fields, wanted):
    assert evaluate("PUT", headers(**fields), None, None, exists=False) is wanted


def test_a_date_condition_on_what_has_no_date_is_ignored():
    assert evaluate("GET", headers(if_modified_since=SAME), None, None) is GO


@pytest.mark.parametrize(
    ("value", "applies"),
    [
        (None, True),
        ('"v1"', True),
        ('"v0"', False),
        ('W/"v1"', False),
        (SAME, True),
        (LATER, False),
        ("x", False),
    ],
)
def test_13_1_5_if_range_compares_strongly(value, applies):
    fields = headers() if value is None else headers(if_range=value)
    assert range_applies(fields, b'"v1"', MODIFIED) is applies


def test_a_weak_tag_never_allows_a_range():
    assert not range_applies(headers(if_range='W/"v1"'), b'W/"v1"', MODIFIED)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b'"a"', [b'"a"']),
        (b'"a",W/"b" , "c"', [b'"a"', b'W/"b"', b'"c"']),
        (b'"a, b", "c"', [b'"a, b"', b'"c"']),
        (b'"a", b, "c"', [b'"a"']),
        (b'"open', []),
        (b"W/", []),
        (b"", []),
    ],
)
def test_lists_of_entity_tags(value, tags):
    assert entity_tags(value) == tags
