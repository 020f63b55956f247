"""A broken file says where it is broken; what JSON would swallow in silence is refused."""

import pytest

from quantum.config.load import index_ids, json_path, load_file, parse_json, walk, without_ids
from quantum.errors import ConfigError


def refused(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        parse_json(content, "q.json")
    return str(caught.value)


def test_a_syntax_error_names_line_and_column():
    assert refused('{\n  "a": 1,\n  "b" 2\n}').startswith("q.json:3:7: ")


def test_a_trailing_comma_is_explained():
    assert "comma too many" in refused('{"a": 1,}')


def test_a_comment_is_explained():
    assert "no comments" in refused('{\n// hello\n"a": 1}')


def test_a_file_that_ends_early_is_explained():
    assert "ends in the middle" in refused('{"a": [1,')
    assert "ends in the middle" in refused("")


def test_a_key_given_twice_is_refused_with_its_path():
    text = refused('{"apps": {"http": {"servers": {"a": {"listen": [], "listen": []}}}}}')
    assert "apps.http.servers.a.listen" in text
    assert "twice" in text


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(constant):
    assert "not JSON" in refused(f'{{"a": {constant}}}')


def test_bytes_that_are_no_text_name_their_line():
    assert refused(b'{"a": 1,\n"\xff": 2}').startswith("q.json:2:")


def test_endless_nesting_is_refused():
    assert "nested" in refused("[" * 200_000)


def test_a_byte_order_mark_does_no_harm():
    assert parse_json(b"\xef\xbb\xbf{}", "q.json") == {}


def test_a_missing_file_names_it_and_the_flag(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.json: No such file.*--config"):
        load_file(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="directory"):
        load_file(tmp_path)


def test_a_document_is_walked_outer_first_in_its_order():
    places = [json_path(steps) for steps, _ in walk({"a": [{"b": {}}], "c": {}, "d": 1})]
    assert places == ["", "a", "a[0]", "a[0].b", "c"]


def test_ids_are_found_and_removed():
    document = {"a": [{"@id": "first", "x": 1}], "b": {"@id": 7}}
    assert index_ids(document) == {"first": ("a", 0), "7": ("b",)}
    assert without_ids(document) == {"a": [{"x": 1}], "b": {}}
    assert document["a"][0]["@id"] == "first"


def test_an_id_used_twice_names_both_places():
    with pytest.raises(ConfigError) as caught:
        index_ids({"a": {"@id": "x"}, "b": [{"@id": "x"}]})
    assert caught.value.path == "b[0].@id"
    assert "that of a" in str(caught.value)


@pytest.mark.parametrize("wrong", [True, None, [], {}, ""])
def test_an_id_is_a_string_or_a_number(wrong):
    with pytest.raises(ConfigError, match="string or a number"):
        index_ids({"@id": wrong})
