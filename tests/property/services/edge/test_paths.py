"""Whatever a client writes: a rewrite opens no way up, and matchers read a path one way."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from quantum.errors import HttpError
from quantum.http.header_ops import compile_operations, run
from quantum.http.headers import Headers
from quantum.http.query import encode_query, parse_query
from quantum.http.target import check_path, clean_path
from quantum.modules.header_ops import HeaderOperations
from quantum.testing.routing import make_request
from services.edge.handlers.config import QueryOperationsConfig
from services.edge.handlers.paths import settled, without_prefix, without_suffix
from services.edge.handlers.query_operations import compile_query_operations
from services.edge.matchers.glob import compile_glob

PIECES = ["/", "//", ".", "..", "a", "B", "api", "%2e", "%2E", "%2f", "%5c", "%61", "%00", "%", "\\",
          "é", "%C3%A9", "?", "#", ";", ":", "*", " "]  # fmt: skip
paths = st.lists(st.sampled_from(PIECES), max_size=10).map(lambda parts: "/" + "".join(parts))
words = st.text(alphabet="abAB/.%25~*", min_size=1, max_size=6)


def accepted(path):
    try:
        check_path(path)
    except HttpError:
        return False
    return True


@given(paths)
def test_a_settled_path_is_absolute_safe_and_stays_as_it_is(path):
    try:
        result = settled(path)
    except HttpError:
        return
    assert result.startswith("/")
    assert ".." not in clean_path(result).split("/")
    assert ".." not in result.lower().replace("%2e", ".").split("/")
    assert settled(result) == result


@given(paths, words)
def test_stripping_never_leaves_a_way_up(path, word):
    if not accepted(path):
        return
    for strip in (without_prefix, without_suffix):
        try:
            result = settled(strip(path, word))
        except HttpError:
            continue
        assert ".." not in result.lower().replace("%2e", ".").split("/")


@given(paths, words)
def test_what_was_stripped_plus_what_is_left_is_the_path(path, word):
    left = without_prefix(path, word)
    assert path.endswith(left)
    left = without_suffix(path, word)
    assert path.startswith(left)


@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab", max_size=8))
def test_globs_agree_with_fnmatch_where_there_is_no_slash(pattern, text):
    assert compile_glob(pattern)(text) is fnmatch.fnmatchcase(text, pattern)


values = st.dictionaries(
    st.text(max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=4
)


@given(values)
def test_a_query_survives_being_written_and_read(pairs):
    pairs = {key: texts for key, texts in pairs.items() if key or any(texts)}
    assert parse_query(encode_query(pairs)) == (pairs, True)


@given(st.text(max_size=20), st.text(alphabet="ab%&=;+", max_size=5))
def test_query_operations_never_fail(raw, key):
    request = make_request()
    request.query = raw
    config = QueryOperationsConfig.parse({"add": [{"key": key, "val": "1"}], "delete": ["a"]})
    compile_query_operations(config)(request)
    assert "a" not in parse_query(request.query)[0]


names = st.sampled_from(["x-a", "x-b", "x-ab", "y"])
fields = st.lists(st.tuples(names, st.sampled_from(["1", "2", ""])), max_size=8)


@given(fields, names, st.sampled_from(["x-*", "*b", "*-a*", "y", "*"]))
def test_header_operations_set_one_and_delete_all_of_a_name(given_fields, name, pattern):
    headers = Headers([(key.encode(), value.encode()) for key, value in given_fields])
    others = [f for f in headers.fields if f[0] != name.encode()]
    run(compile_operations(HeaderOperations(set={name: ["new"]})), headers, make_request())
    assert headers.all(name.encode()) == [b"new"]
    assert [f for f in headers.fields if f[0] != name.encode()] == others
    run(compile_operations(HeaderOperations(delete=[pattern])), headers, make_request())
    assert not [f for f in headers.fields if fnmatch.fnmatchcase(f[0].decode(), pattern)]
