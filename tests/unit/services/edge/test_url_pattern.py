"""URL patterns: groups, what is refused, what a hostile request can make of them."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.testing.routing import compile_routes, make_request
from services.edge.manifest import MANIFEST


def chain(matcher):
    say = {"handler": "static_response", "body": "{http.url_pattern.pathname.id}"}
    return compile_routes(
        MANIFEST.modules, [{"match": [matcher], "handle": [say], "terminal": True}]
    )


async def test_groups_are_placeholders_and_the_matcher_is_a_function_of_expressions():
    for matcher in (
        {"url_pattern": {"pattern": "/books/:id"}},
        {"expression": "url_pattern('/books/:id')"},
    ):
        assert (await chain(matcher)(make_request("GET", "/books/7"))).body == b"7"
        assert (await chain(matcher)(make_request("GET", "/other/7"))).body == b""


@pytest.mark.parametrize("host", ["", "a b", "[::1", "a:99999", "é"])
async def test_a_host_that_no_url_can_have_does_not_match(host):
    response = await chain({"url_pattern": {"pattern": "http://example.com/:id"}})(
        make_request("GET", "/x", host=host)
    )
    assert response.body == b""


async def test_bytes_beyond_ascii_are_matched_escaped():
    request = make_request("GET", "/books/x")
    request.path = "/books/\udcff"
    assert (await chain({"url_pattern": {"pattern": "/books/:id"}})(request)).body == b"%FF"


async def test_a_path_that_hides_a_separator_is_refused():
    with pytest.raises(HttpError):
        await chain({"url_pattern": {"pattern": "/*"}})(make_request("GET", "/a/..%2Fb"))


@pytest.mark.parametrize(
    "config",
    [{"pattern": "/a", "ignore_case": True}, {"pattern": ""}, {"pattern": "/a", "base": "x"}],
)
def test_what_is_not_obeyed_is_refused(config):
    with pytest.raises(ConfigError):
        chain({"url_pattern": config})


@pytest.mark.parametrize("pattern", ["/(", "/:", "{"])
def test_what_is_no_pattern_cannot_be_made(pattern):
    with pytest.raises(ValueError):
        chain({"url_pattern": {"pattern": pattern}})
