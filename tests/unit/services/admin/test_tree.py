"""The document tree obeys Caddy's rules for /config/ paths."""

from __future__ import annotations

import copy

import pytest

from services.admin import tree

DOCUMENT = {
    "apps": {
        "http": {"servers": {"srv0": {"listen": [":80", ":443"], "routes": [{"handle": []}]}}},
        "matrix": [["h1"], ["h2", "h3"]],
        "odd/key": {"x": 1},
    }
}


def changed(method: str, path: str, value: object = None) -> dict:
    before = copy.deepcopy(DOCUMENT)
    after = tree.change(DOCUMENT, method, path, value)
    assert before == DOCUMENT, "the document that was handed in must not change"
    return after


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", DOCUMENT),
        ("/", DOCUMENT),
        ("/apps/http/servers/srv0/listen/1", ":443"),
        ("/apps/http/servers/srv0/listen/", [":80", ":443"]),
        ("/apps/matrix/1/0", "h2"),
        ("/apps/odd%2Fkey/x", 1),
        ("/apps/http/servers/absent", None),
        ("/absent", None),
    ],
)
def test_reading_follows_keys_and_indices(path, expected):
    assert tree.read(DOCUMENT, path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/apps/http/servers/srv0/listen/2",
        "/apps/http/servers/srv0/listen/-1",
        "/apps/http/servers/srv0/listen/01",
        "/apps/http/servers/srv0/listen/+1",
        "/apps/http/servers/srv0/listen/x",
        "/apps/http/servers/srv0/listen/" + "9" * 5000,
        "/apps/http/servers/srv0/listen/٣",
        "/apps/absent/below",
        "/apps/odd%2Fkey/x/deeper",
    ],
)
def test_reading_beside_the_tree_is_an_error(path):
    with pytest.raises(tree.TreeError) as caught:
        tree.read(DOCUMENT, path)
    assert caught.value.status == 400


def listen(document: dict) -> list:
    return document["apps"]["http"]["servers"]["srv0"]["listen"]


LISTEN = "/apps/http/servers/srv0/listen"


@pytest.mark.parametrize(
    ("method", "path", "value", "expected"),
    [
        ("POST", LISTEN, ":1", [":80", ":443", ":1"]),
        ("POST", LISTEN + "/0", ":1", [":80", ":443", ":1"]),
        ("POST", LISTEN + "/999", ":1", [":80", ":443", ":1"]),
        ("POST", LISTEN + "/...", [":1", ":2"], [":80", ":443", ":1", ":2"]),
        ("POST", LISTEN, [":1"], [":80", ":443", [":1"]]),
        ("PUT", LISTEN + "/0", ":1", [":1", ":80", ":443"]),
        ("PUT", LISTEN + "/2", ":1", [":80", ":443", ":1"]),
        ("PATCH", LISTEN + "/1", ":1", [":80", ":1"]),
        ("PATCH", LISTEN, [":1"], [":1"]),
        ("DELETE", LISTEN + "/0", None, [":443"]),
    ],
)
def test_arrays_grow_and_shrink_as_in_caddy(method, path, value, expected):
    assert listen(changed(method, path, value)) == expected


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", LISTEN + "/3", 400),
        ("PATCH", LISTEN + "/2", 400),
        ("DELETE", LISTEN + "/2", 400),
        ("DELETE", LISTEN + "/00", 400),
        ("PUT", "/apps/http", 409),
        ("PUT", LISTEN, 409),
        ("PUT", "", 409),
        ("PATCH", "/apps/absent", 404),
        ("DELETE", "/apps/absent", 404),
        ("POST", "/apps/absent/below", 404),
        ("POST", LISTEN + "/0/deeper", 404),
        ("POST", LISTEN + "/...", 400),  # the value is no array
    ],
)
def test_a_change_that_its_method_does_not_allow_is_refused(method, path, status):
    with pytest.raises(tree.TreeError) as caught:
        tree.change(DOCUMENT, method, path, "value")
    assert caught.value.status == status


def test_put_makes_the_objects_on_its_way():
    after = changed("PUT", "/apps/tls/automation/policies", [])
    assert after["apps"]["tls"] == {"automation": {"policies": []}}


def test_post_replaces_what_is_no_array():
    assert changed("POST", "/apps/http", {"a": 1})["apps"]["http"] == {"a": 1}


def test_the_root_can_be_replaced_and_deleted():
    assert changed("POST", "", {"apps": {}}) == {"apps": {}}
    assert changed("PATCH", "/", {"apps": {}}) == {"apps": {}}
    assert changed("DELETE", "") is None
    assert tree.change(None, "PUT", "/apps/http", {}) == {"apps": {"http": {}}}


def test_nested_arrays_can_be_changed():
    assert changed("PATCH", "/apps/matrix/1/0", "h1")["apps"]["matrix"] == [["h1"], ["h1", "h3"]]


def test_a_tag_matches_only_while_nothing_below_its_path_changed():
    path = "/config" + LISTEN
    tag = tree.etag(path, tree.encode(tree.read(DOCUMENT, LISTEN)))
    tree.check_if_match(DOCUMENT, tag)
    tree.check_if_match(changed("POST", "/apps/odd%2Fkey", {}), tag)
    with pytest.raises(tree.TreeError) as caught:
        tree.check_if_match(changed("POST", LISTEN, ":1"), tag)
    assert caught.value.status == 412


@pytest.mark.parametrize("header", ["", '"', "abc", '"one"', '"a b c"', "W/abc", '"/config x'])
def test_a_malformed_if_match_is_a_bad_request(header):
    with pytest.raises(tree.TreeError) as caught:
        tree.check_if_match(DOCUMENT, header)
    assert caught.value.status == 400


def test_the_same_content_has_the_same_tag_whatever_the_key_order():
    assert tree.encode({"a": 1, "b": 2}) == tree.encode({"b": 2, "a": 1})


def test_places_become_paths_that_lead_back():
    path = tree.path_of(("apps", "odd/key", "x"))
    assert tree.read(DOCUMENT, path) == 1
