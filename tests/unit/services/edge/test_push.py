"""``push``: what a page needs is told in links and early hints; nothing is pushed."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError
from quantum.testing.routing import compile_routes, make_request, parse_routes
from services.edge.manifest import MANIFEST


def chain(resources, status=200):
    push = {"handler": "push", "resources": resources, "headers": {"set": {"X": ["1"]}}}
    answer = {"handler": "static_response", "status_code": status, "body": "page"}
    return compile_routes(MANIFEST.modules, [{"handle": [push, answer]}])


RESOURCES = [
    {"target": "/a.css"},
    {"method": "HEAD", "target": "/h.js"},
    {"target": "/f.woff2?{http.request.method}"},
    {"target": "/ü >x"},
]
LINKS = [
    b"</a.css>; rel=preload; as=style", b"</f.woff2?GET>; rel=preload; as=font; crossorigin", b"</%C3%BC%20%3Ex>; rel=preload",
]  # fmt: skip


async def test_resources_are_preload_links_of_the_answer():
    response = await chain(RESOURCES)(make_request())
    assert response.headers.all(b"link") == LINKS


async def test_a_browser_that_navigates_is_told_before_the_answer():
    hints = []
    request = make_request("GET", "/", ("Sec-Fetch-Mode", "navigate"), version="HTTP/2.0")
    request.informational = lambda status, headers: hints.append((status, headers.all(b"link")))
    await chain(RESOURCES)(request)
    assert hints == [(103, LINKS)]


@pytest.mark.parametrize(("version", "mode"), [("HTTP/1.1", "navigate"), ("HTTP/2.0", "cors")])
async def test_others_get_no_early_hints(version, mode):
    request = make_request("GET", "/", ("Sec-Fetch-Mode", mode), version=version)
    request.informational = lambda status, headers: pytest.fail("hinted")
    await chain(RESOURCES)(request)


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 302), ("GET", 404)])
async def test_what_is_no_page_has_no_links(method, status):
    response = await chain(RESOURCES, status)(make_request(method))
    assert response.headers.all(b"link") == []


@pytest.mark.parametrize("resource", [{}, {"target": ""}, {"target": "/", "method": "POST"}])
def test_a_resource_that_cannot_be_told_is_refused(resource):
    with pytest.raises(ConfigError, match="resources"):
        parse_routes(MANIFEST.modules, [{"handle": [{"handler": "push", "resources": [resource]}]}])
