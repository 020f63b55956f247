"""The order in which routes are tried, what ends a chain, and what errors lead to."""

from __future__ import annotations

import pytest

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.message import Request, Response
from quantum.testing.routing import compile_routes, make_request
from services.edge.modules import MODULES


def say(text):
    return {"handler": "static_response", "body": text}


def note(name):
    return {"handler": "headers", "response": {"add": {"X-Seen": [name]}}}


async def ask(routes, *request, errors=None, rooms=None, **more):
    request = (
        make_request(*request, **more) if not request or isinstance(request[0], str) else request[0]
    )
    return await compile_routes(MODULES, routes, errors, rooms)(request)


def seen(response):
    return [value.decode() for value in response.headers.all(b"x-seen")]


async def test_no_route_at_all_answers_200_without_a_body():
    response = await ask([])
    assert (response.status, response.body) == (200, b"")


async def test_the_first_route_that_answers_ends_the_chain():
    response = await ask([{"handle": [note("a"), say("one")]}, {"handle": [note("b"), say("two")]}])
    assert (response.body, seen(response)) == (b"one", ["a"])


async def test_a_matched_route_without_an_answer_goes_on_to_the_next():
    response = await ask([{"handle": [note("a")]}, {"handle": [note("b"), say("end")]}])
    assert seen(response) == ["a", "b"]


async def test_of_one_group_only_the_first_match_runs():
    routes = [
        {"group": "g", "match": [{"path": ["/no"]}], "handle": [note("no")]},
        {"group": "g", "handle": [note("first")]},
        {"group": "g", "handle": [note("second")]},
        {"group": "other", "handle": [note("other")]},
        {"handle": [say("end")]},
    ]
    assert seen(await ask(routes)) == ["first", "other"]


async def test_groups_do_not_leak_from_one_request_to_the_next():
    chain = compile_routes(MODULES, [{"group": "g", "handle": [say("hit")]}])
    assert (await chain(make_request())).body == b"hit"
    assert (await chain(make_request())).body == b"hit"


async def test_a_terminal_route_without_an_answer_ends_the_chain():
    response = await ask([{"handle": [note("a")], "terminal": True}, {"handle": [say("never")]}])
    assert (response.status, response.body, seen(response)) == (200, b"", ["a"])


async def test_a_terminal_route_that_does_not_match_ends_nothing():
    routes = [{"match": [{"path": ["/x"]}], "terminal": True}, {"handle": [say("reached")]}]
    assert (await ask(routes)).body == b"reached"


async def test_matchers_see_what_earlier_routes_rewrote():
    routes = [
        {"match": [{"path": ["/old"]}], "handle": [{"handler": "rewrite", "uri": "/new"}]},
        {"match": [{"path": ["/new"]}], "handle": [say("moved")]},
    ]
    assert (await ask(routes, "GET", "/old")).body == b"moved"


async def test_matcher_sets_are_alternatives_and_matchers_in_a_set_conditions():
    routes = [
        {
            "match": [{"path": ["/a"], "method": ["POST"]}, {"path": ["/b"]}],
            "handle": [say("hit")],
        }
    ]
    assert (await ask(routes, "POST", "/a")).body == b"hit"
    assert (await ask(routes, "GET", "/b")).body == b"hit"
    assert (await ask(routes, "GET", "/a")).body == b""


async def test_a_subroute_goes_on_where_the_outer_chain_does():
    inner = {"handler": "subroute", "routes": [{"handle": [note("in")]}]}
    response = await ask([{"handle": [inner, note("after")]}, {"handle": [say("end")]}])
    assert (seen(response), response.body) == (["in", "after"], b"end")


async def test_a_terminal_route_inside_a_subroute_ends_the_outer_chain_too():
    inner = {"handler": "subroute", "routes": [{"handle": [note("in")], "terminal": True}]}
    response = await ask([{"handle": [inner]}, {"handle": [say("never")]}])
    assert (response.body, seen(response)) == (b"", ["in"])


async def test_error_routes_answer_with_the_status_of_the_error():
    response = await ask(
        [{"handle": [{"handler": "error", "status_code": 404, "error": "gone fishing"}]}],
        errors=[
            {
                "handle": [
                    say("{http.error.status_code} {http.error.status_text}: {http.error.message}")
                ]
            }
        ],
    )
    assert (response.status, response.body) == (404, b"404 Not Found: gone fishing")


async def test_error_routes_that_do_not_answer_leave_the_bare_status():
    routes = [{"handle": [{"handler": "error", "status_code": 410}]}]
    response = await ask(routes, errors=[{"match": [{"path": ["/other"]}], "handle": [say("x")]}])
    assert (response.status, response.body) == (410, b"")


async def test_the_error_chain_sees_the_request_as_it_came_and_fields_set_before():
    routes = [
        {
            "handle": [
                note("before"),
                {"handler": "rewrite", "method": "PUT", "uri": "/inside?x=1"},
                {"handler": "error", "status_code": 500},
            ]
        }
    ]
    errors = [{"handle": [say("{http.request.method} {http.request.uri}")]}]
    response = await ask(routes, "GET", "/outside?y=2", errors=errors)
    assert response.body == b"GET /outside?y=2"
    assert seen(response) == ["before"]


async def test_a_subroutes_error_routes_see_the_request_as_it_is():
    inner = {
        "handler": "subroute",
        "routes": [{"handle": [{"handler": "rewrite", "uri": "/inside"}, {"handler": "error"}]}],
        "errors": {"routes": [{"handle": [say("{http.request.uri} {http.error.status_code}")]}]},
    }
    response = await ask([{"handle": [inner]}], "GET", "/outside")
    assert (response.status, response.body) == (500, b"/inside 500")


async def test_an_error_of_the_error_chain_goes_on_up():
    with pytest.raises(HttpError) as caught:
        await ask(
            [{"handle": [{"handler": "error", "status_code": 404}]}],
            errors=[{"handle": [{"handler": "error", "status_code": 418}]}],
        )
    assert caught.value.status == 418


async def test_without_error_routes_an_error_is_raised_to_the_caller():
    with pytest.raises(HttpError, match="503 no"):
        await ask([{"handle": [{"handler": "error", "status_code": 503, "error": "no"}]}])


async def test_a_defect_in_a_handler_is_a_500_for_the_error_routes():
    async def broken(request: Request) -> Response:
        raise KeyError("secret detail")

    response = await ask(
        [{"handle": [{"handler": "file_server"}]}],
        errors=[{"handle": [say("sorry {http.error.status_code}{http.error.message}")]}],
        rooms={"file_server": broken},
    )
    assert (response.status, response.body) == (500, b"sorry 500Internal Server Error")


@pytest.mark.parametrize("gone", [ClientGone("reset"), BodyAborted("cut")])
async def test_nobody_answers_a_client_that_is_gone(gone):
    async def leave(request: Request) -> Response:
        raise gone

    with pytest.raises(type(gone)):
        await ask(
            [{"handle": [{"handler": "file_server"}]}],
            errors=[{"handle": [say("anyone there?")]}],
            rooms={"file_server": leave},
        )
