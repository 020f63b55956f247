"""``intercept``, ``invoke``, ``log_append`` and ``metrics``: what the cases beside Caddy do not show."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from quantum.config.model import locate
from quantum.errors import BodyAborted, ConfigError, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.modules.config import use_registry
from quantum.modules.registry import Registry
from quantum.telemetry.access import AccessLog
from quantum.testing.routing import compile_routes, make_request
from services import catalog
from services.edge.config import Server
from services.edge.handlers.subroute import NamedRoutes
from services.edge.modules import MODULES
from services.edge.observing.modules import MODULES as OBSERVING

SPECS = [*MODULES, *OBSERVING]
FAR = {"handler": "far"}


def chain(*handlers, far=None):
    return compile_routes(SPECS, [{"handle": list(handlers)}], rooms={"far": far} if far else None)


def intercept(*rules):
    return {"handler": "intercept", "handle_response": list(rules)}


def say(body, **config):
    return {"handler": "static_response", "body": body, **config}


def streaming(*chunks):
    closed = []
    body = StreamBody(abandoned=lambda: closed.append(True))
    for chunk in chunks:
        body.feed(chunk)
    return body, closed


# intercept


async def test_an_answer_that_is_replaced_is_not_read_and_its_body_is_closed():
    body, closed = streaming(b"large")

    async def far(request):
        fields = [
            (b"x-kept", b"1"),
            (b"content-length", b"5"),
            (b"etag", b'"e"'),
            (b"content-encoding", b"gzip"),
        ]
        return Response(200, Headers(fields), body)

    answer = await chain(intercept({"routes": [{"handle": [say("other")]}]}), FAR, far=far)(
        make_request()
    )
    names = [name for name, _ in answer.headers.fields]
    assert (answer.body, names) == (b"other", [b"x-kept", b"content-type"])
    assert closed


async def test_an_answer_whose_routes_do_not_answer_streams_on():
    body, _ = streaming(b"a", b"b")
    body.finish()

    async def far(request):
        return Response(200, Headers(), body)

    routes = [{"handle": [{"handler": "vars", "a": "1"}]}]
    answer = await chain(intercept({"routes": routes}), FAR, far=far)(make_request())
    assert await read_all(answer.body, 10) == b"ab"


async def test_routes_that_fail_close_the_answer_they_were_for():
    body, closed = streaming(b"large")

    async def far(request):
        return Response(200, Headers(), body)

    routes = [{"handle": [{"handler": "error", "status_code": 409}]}]
    with pytest.raises(HttpError, match="409"):
        await chain(intercept({"routes": routes}), FAR, far=far)(make_request())
    assert closed


async def test_an_upgrade_is_not_intercepted():
    async def run(stream):
        raise AssertionError

    async def far(request):
        return Response(101, upgrade=run)

    answer = await chain(intercept({"status_code": 418}), FAR, far=far)(make_request())
    assert (answer.status, answer.upgrade) == (101, run)


async def test_a_status_that_a_placeholder_does_not_give_is_an_error():
    answer = await chain(intercept({"status_code": "{http.vars.none}x"}), say("b"))(make_request())
    assert answer.status == 500


async def test_a_shared_answer_is_not_changed_by_an_intercept():
    link = chain(intercept({"match": {"status_code": [200]}, "status_code": 418}), say("b"))
    assert [(await link(make_request())).status for _ in range(2)] == [418, 418]


# invoke


def server(routes, named):
    """Compile the routes of a server as edge does."""
    from quantum.testing import routing

    with use_registry(Registry(SPECS)):
        config = Server.parse(
            locate({"routes": routes, "named_routes": named}, "apps.http.servers.s")
        )
    compiler = routing.make_compiler(resources={NamedRoutes: NamedRoutes(config.named_routes)})
    return compiler.compile_server(config.routes)


def invoke(name):
    return [{"handle": [{"handler": "invoke", "name": name}]}]


def test_a_name_that_no_route_has_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"no route is named 'b' \(named_routes has: a\)"):
        server(invoke("b"), {"a": {"handle": [say("a")]}})


def test_a_named_route_cannot_invoke_itself():
    named = {"a": invoke("b")[0], "b": invoke("a")[0]}
    with pytest.raises(ConfigError, match="a > b > a"):
        server(invoke("a"), named)


async def test_a_named_route_may_be_invoked_twice_in_a_row():
    link = server([*invoke("a"), *invoke("a"), {"handle": [say("end")]}], {"a": {"handle": []}})
    assert (await link(make_request())).body == b"end"


# log_append


async def recorded(*handlers, request=None, far=None):
    """Return the access record of a request."""
    request = request or make_request()
    try:
        response = await chain(*handlers, far=far)(request)
        if not isinstance(response.body, bytes):
            await read_all(response.body, 1 << 20)
    except HttpError:
        response = None
    with capture_logs() as logs:
        AccessLog().record(request, response, 200, 0, 0.0)
    return json.loads(json.dumps(logs[0]))


def append(key, value, **more):
    return {"handler": "log_append", "key": key, "value": value, **more}


async def test_values_are_placeholders_variables_or_texts():
    record = await recorded(
        append("path", "{http.request.uri.path}"), append("n", "number"), append("t", "a text"),
        {"handler": "vars", "number": 7}, say("b"), request=make_request("GET", "/x"),
    )  # fmt: skip
    assert (record["path"], record["n"], record["t"]) == ("/x", 7, "a text")


async def test_early_values_are_from_before_the_rest_of_the_chain():
    moved = {"handler": "rewrite", "uri": "/moved"}
    fields = [
        append("late", "{http.request.uri}"),
        append("soon", "{http.request.uri}", early=True),
    ]
    record = await recorded(*fields, moved, say("b"), request=make_request("GET", "/x"))
    assert (record["soon"], record["late"]) == ("/x", "/moved")


async def test_a_request_that_failed_has_its_fields_too():
    record = await recorded(append("k", "v"), {"handler": "error"})
    assert record["k"] == "v"


async def test_the_body_of_an_answer_is_overheard_up_to_a_bound():
    body, _ = streaming(b"x" * 40_000, b"y" * 40_000)
    body.finish()

    async def far(request):
        return Response(200, Headers(), body)

    record = await recorded(append("body", "{http.response.body}"), FAR, far=far)
    assert record["body"] == "x" * 40_000 + "y" * (65_536 - 40_000)
    assert (await recorded(append("b", "{http.response.body_base64}"), say("hi")))["b"] == "aGk="


async def test_a_body_that_breaks_off_is_recorded_as_far_as_it_came():
    body, _ = streaming(b"half")
    body.fail(BodyAborted("gone"))

    async def far(request):
        return Response(200, Headers(), body)

    request = make_request()
    response = await chain(append("body", "{http.response.body}"), FAR, far=far)(request)
    with pytest.raises(BodyAborted):
        await read_all(response.body, 100)
    assert request.vars["access.extra"] == {"body": "half"}


# metrics


@pytest.mark.parametrize(
    ("config", "accept", "content_type"),
    [
        ({}, "application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        (
            {"disable_openmetrics": True},
            "application/openmetrics-text; version=1.0.0",
            "text/plain",
        ),
        ({}, "", "text/plain"),
    ],
)
async def test_metrics_are_in_the_format_that_is_asked_for(config, accept, content_type):
    request = make_request("GET", "/metrics", ("Accept", accept))
    answer = await chain({"handler": "metrics", **config})(request)
    assert answer.status == 200
    assert answer.headers.get(b"content-type").decode().startswith(content_type)


# what the list of modules says of modules without a row of their own


@pytest.mark.parametrize(
    "match",
    [
        {"sni": ["a.io"]}, {"sni_regexp": {"pattern": "a"}}, {"remote_ip": {"ranges": ["10.0.0.0/8"]}},
        {"local_ip": {"ranges": ["10.0.0.0/8"]}},
    ],
    ids=lambda match: next(iter(match)),
)  # fmt: skip
def test_a_handshake_matcher_that_is_listed_is_taken(match):
    from services.cli.list_modules import WITHOUT_SPEC

    assert f"tls.handshake_match.{next(iter(match))}" in {name for name, _, _ in WITHOUT_SPEC}
    document = {
        "apps": {"http": {"servers": {"s": {"tls_connection_policies": [{"match": match}]}}}}
    }
    assert catalog.parse(document)


@pytest.mark.parametrize(
    "ca",
    [
        {"provider": "file", "pem_files": ["a.pem"]},
        {"provider": "system"},
        {"provider": "pki_root", "authority": ["local"]},
        {"provider": "pki_intermediate", "authority": ["local"]},
        {"provider": "storage", "pem_keys": ["pki/authorities/local/root.crt"]},
        {
            "provider": "http",
            "endpoints": ["https://roots.example/"],
            "tls": {"ca": {"provider": "system"}},
        },
        {
            "provider": "combined",
            "sources": [{"provider": "system"}, {"provider": "pki_root", "authority": ["local"]}],
        },
    ],
    ids=lambda ca: ca["provider"],
)
def test_a_pool_of_authorities_that_is_listed_is_taken(ca):
    transport = {"protocol": "http", "tls": {"ca": ca}, "network_proxy": {"from": "none"}}
    proxy = {"handler": "reverse_proxy", "transport": transport}
    assert catalog.parse({"apps": {"http": {"servers": {"s": {"routes": [{"handle": [proxy]}]}}}}})
