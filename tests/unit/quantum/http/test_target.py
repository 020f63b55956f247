"""One form of a path for matchers and files, and nothing hidden in percent-encoding."""

from __future__ import annotations

import pytest

from quantum.errors import HttpError
from quantum.http.target import check_path, clean_path, decode_path, normalise


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a//b///c", "/a/b/c"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/%61/b", "/a/b"),
        ("/a%20b", "/a b"),
        ("/%2e%2e/%2E%2e/etc", "/etc"),
        ("/%252e%252e/x", "/%2e%2e/x"),
        ("/group%2Fname", "/group/name"),
        ("/a%5Cb", "/a\\b"),
        ("/%c3%a9", "/é"),
        ("/..hidden/...", "/..hidden/..."),
        ("*", "*"),
        ("", "/"),
        ("a", "/a"),
    ],
)
def test_a_path_has_one_clean_form(raw: str, clean: str) -> None:
    assert clean_path(raw) == clean


@pytest.mark.parametrize(
    "raw",
    [
        "/a%00b", "/%", "/%4", "/%zz", "/public/..%2fadmin", "/public%2f..%2fadmin",
        "/public%2F%2e%2e/admin", "/public/..%5Cadmin", "/public/..\\admin", "/a%5c..%5c..%5cb",
        "/%2e%2e%2fadmin",
    ],
)  # fmt: skip
def test_what_could_be_read_two_ways_is_refused(raw: str) -> None:
    with pytest.raises(HttpError) as caught:
        check_path(raw)
    assert caught.value.status == 400
    with pytest.raises(HttpError):
        clean_path(raw)


def test_bytes_that_are_no_utf8_survive_as_the_file_system_wants_them() -> None:
    assert decode_path("/%ff").encode("utf-8", "surrogateescape") == b"/\xff"


def test_cleaning_twice_changes_nothing() -> None:
    for raw in ("/a/../b//c/", "/x/./y/..", "//"):
        once = clean_path(raw)
        assert normalise(once) == once


def test_slashes_can_be_kept_for_patterns_that_ask_for_them() -> None:
    assert normalise("/a//b/../c", merge_slashes=False) == "/a//c"
