"""The handlers that run in edge."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.testing.routing import compile_routes, make_request
from services.edge.bodies.modules import MODULES as BODIES
from services.edge.modules import MODULES


def chain(*handlers, rooms=None, errors=None):
    return compile_routes([*MODULES, *BODIES], [{"handle": list(handlers)}], errors, rooms)


async def ask(*handlers, request=None, rooms=None, errors=None):
    return await chain(*handlers, rooms=rooms, errors=errors)(request or make_request())


def static(**config):
    return {"handler": "static_response", **config}


def headers(**config):
    return {"handler": "headers", **config}


def fields(response):
    return [(name.decode(), value.decode()) for name, value in response.headers.fields]


PLAIN = ("content-type", "text/plain; charset=utf-8")


# static_response


async def test_a_constant_answer_is_made_once_for_all_requests():
    link = chain(static(body="hello", status_code=201, headers={"X-A": ["1", "2"]}))
    first, second = await link(make_request()), await link(make_request())
    assert first is second
    assert (first.status, first.body) == (201, b"hello")
    assert fields(first) == [("x-a", "1"), ("x-a", "2"), PLAIN]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"a": 1}', "application/json"),
        (" [1, 2] \n", "application/json"),
        ("{not json}", PLAIN[1]),
        ("{}", PLAIN[1]),
        ("text", PLAIN[1]),
    ],
)
async def test_a_body_gets_the_type_it_looks_like(body, content_type):
    assert fields(await ask(static(body=body))) == [("content-type", content_type)]


async def test_a_configured_type_is_kept_and_no_body_needs_none():
    assert fields(await ask(static(body="<p>", headers={"Content-Type": ["text/html"]}))) == [
        ("content-type", "text/html")
    ]
    assert fields(await ask(static(status_code="204"))) == []


async def test_placeholders_work_in_status_fields_and_body():
    response = await ask(
        {"handler": "vars", "code": 202},
        static(
            status_code="{http.vars.code}",
            headers={"X-{http.request.method}": ["{http.request.host}"]},
            body='{"p": "{http.request.uri.path}", "kept": "{unknown}"}',
        ),
        request=make_request("GET", "/x%20y"),
    )
    assert response.status == 202
    assert response.body == b'{"p": "/x y", "kept": "{unknown}"}'
    assert ("x-get", "example.com") in fields(response)


async def test_a_line_break_in_a_placeholder_cannot_start_a_new_field():
    response = await ask(
        static(headers={"Location": ["{http.request.uri.path}"]}),
        request=make_request("GET", "/a%0d%0aSet-Cookie:x=1"),
    )
    assert fields(response) == [("location", "/a Set-Cookie:x=1")]


async def test_a_status_that_is_none_when_it_is_known_fails():
    with pytest.raises(HttpError, match="500"):
        await ask(static(status_code="{http.vars.none}"))


def test_a_status_that_is_none_is_a_config_error():
    with pytest.raises(ConfigError, match="status"):
        chain(static(status_code="99"))


async def test_abort_and_close_are_asked_of_the_codec():
    assert (await ask(static(abort=True))).abort
    assert (await ask(static(close=True, body="bye"))).close


async def test_early_hints_are_sent_ahead_and_stay_on_the_answer():
    request = make_request()
    sent = []
    request.informational = lambda status, early: sent.append((status, early.fields))
    response = await ask(
        static(status_code=103, headers={"Link": ["</a.css>; rel=preload"]}),
        static(body="page"),
        request=request,
    )
    assert sent == [(103, [(b"link", b"</a.css>; rel=preload")])]
    assert response.body == b"page"
    assert fields(response)[0] == ("link", "</a.css>; rel=preload")


async def test_early_hints_without_a_way_to_send_them_go_on():
    assert (await ask(static(status_code=103), static(body="page"))).body == b"page"


async def test_on_an_error_chain_the_status_is_the_errors():
    errors = [{"handle": [static(body="sorry")]}]
    response = await ask({"handler": "error", "status_code": 503}, errors=errors)
    assert (response.status, response.body) == (503, b"sorry")


# headers


async def test_request_fields_change_in_caddys_order():
    seen = {}

    async def proxy(request):
        seen["fields"] = request.headers.fields
        return Response(200)

    await ask(
        headers(
            request={
                "add": {"X-Add": ["1"]},
                "set": {"X-Set": ["a", "b"]},
                "delete": ["X-Secret-*", "X-Add"],
                "replace": {"X-Path": [{"search": "old", "replace": "new"}]},
            }
        ),
        {"handler": "reverse_proxy"},
        request=make_request(
            "GET", "/", ("X-Secret-A", "1"), ("X-Set", "before"), ("X-Path", "/old/old")
        ),
        rooms={"reverse_proxy": proxy},
    )
    assert seen["fields"] == [(b"x-set", b"a,b"), (b"x-path", b"/new/new")]


async def test_host_can_be_changed_though_it_is_no_field():
    seen = {}

    async def proxy(request):
        seen["authority"], seen["fields"] = request.authority, request.headers.fields
        return Response(200)

    await ask(
        headers(request={"set": {"Host": ["internal.{http.request.host}"]}}),
        {"handler": "reverse_proxy"},
        rooms={"reverse_proxy": proxy},
    )
    assert seen == {"authority": "internal.example.com", "fields": []}


async def test_a_field_set_before_is_replaced_by_a_static_answer():
    response = await ask(
        headers(response={"set": {"X-A": ["early"], "X-B": ["early"]}}),
        static(headers={"X-A": ["own"]}),
    )
    assert fields(response) == [("x-b", "early"), ("x-a", "own")]


async def test_a_content_type_set_before_is_kept():
    response = await ask(
        headers(response={"set": {"Content-Type": ["text/markdown"]}}), static(body="# hi")
    )
    assert fields(response) == [("content-type", "text/markdown")]


async def test_a_file_keeps_an_early_type_and_replaces_the_rest():
    own = [(b"content-type", b"text/html"), (b"last-modified", b"now"), (b"etag", b'"own"')]

    async def files(request):
        return Response(200, Headers(list(own)), b"x")

    response = await ask(
        headers(response={"set": {"Content-Type": ["text/x"], "Last-Modified": ["then"]}}),
        {"handler": "file_server"},
        rooms={"file_server": files},
    )
    assert fields(response) == [
        ("content-type", "text/x"), ("last-modified", "now"), ("etag", '"own"')
    ]  # fmt: skip


async def test_a_proxied_answer_adds_to_fields_set_before():
    async def proxy(request):
        return Response(200, Headers([(b"x-a", b"upstream"), (b"via", b"1.1 Quantum")]))

    response = await ask(
        headers(response={"set": {"X-A": ["early"], "Server": ["mine"]}}),
        {"handler": "reverse_proxy"},
        rooms={"reverse_proxy": proxy},
    )
    assert fields(response) == [("x-a", "early"), ("x-a", "upstream"), ("via", "1.1 Quantum")]


async def test_deferred_operations_have_the_last_word():
    shared = Response(200, Headers([(b"x-a", b"upstream"), (b"server", b"nginx")]))

    async def proxy(request):
        return shared

    response = await ask(
        headers(
            response={
                "set": {"X-A": ["late {http.response.header.X-A}"]},
                "delete": ["Server"],
                "deferred": True,
            }
        ),
        {"handler": "reverse_proxy"},
        rooms={"reverse_proxy": proxy},
    )
    assert fields(response) == [("x-a", "late upstream"), ("server", "")]
    assert shared.headers.get(b"server") == b"nginx"


async def test_a_shared_answer_is_not_changed_by_deferred_operations():
    link = chain(headers(response={"add": {"X-N": ["1"]}, "deferred": True}), static(body="x"))
    await link(make_request())
    assert fields(await link(make_request())).count(("x-n", "1")) == 1


@pytest.mark.parametrize(("status", "changed"), [(404, True), (500, False), (201, True)])
async def test_a_requirement_chooses_the_answers_to_change(status, changed):
    response = await ask(
        headers(response={"set": {"X-R": ["1"]}, "require": {"status_code": [404, 2]}}),
        static(status_code=status),
    )
    assert (response.headers.get(b"x-r") is not None) is changed


async def test_fields_set_before_an_error_are_on_its_answer():
    errors = [{"handle": [static(body="sorry")]}]
    response = await ask(
        headers(response={"set": {"X-Frame-Options": ["DENY"]}}),
        {"handler": "error", "status_code": 500},
        errors=errors,
    )
    assert ("x-frame-options", "DENY") in fields(response)


async def test_replacements_take_expressions_in_every_field():
    response = await ask(
        headers(
            response={
                "replace": {"*": [{"search_regexp": "http(:)", "replace": "https$1"}]},
                "deferred": True,
            }
        ),
        static(headers={"Location": ["http://a/"], "X-Other": ["http://b/"]}),
    )
    assert fields(response) == [("location", "https://a/"), ("x-other", "https://b/")]


# vars, error, map, request_body


async def test_variables_hold_values_and_expanded_text():
    response = await ask(
        {"handler": "vars", "n": 7, "who-{http.request.method}": "{http.request.host}"},
        static(body="{http.vars.n} {http.vars.who-GET}"),
    )
    assert response.body == b"7 example.com"


async def test_an_error_is_raised_with_its_message():
    with pytest.raises(HttpError) as caught:
        await ask({"handler": "error", "error": "too {http.vars.x}early", "status_code": "425"})
    assert (caught.value.status, caught.value.reason) == (425, "too early")


def mapping(**config):
    return {
        "handler": "map",
        "source": "{http.request.uri.path}",
        "destinations": ["{kind}", "{id}"],
        "mappings": [
            {"input": "/home", "outputs": ["page", "home of {http.request.host}"]},
            {"input_regexp": r"/item/(\w+)", "outputs": [None, "$1"]},
        ],
        **config,
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/home", b"page home of example.com"),
        ("/shop/item/x9/detail", b"other x9"),
        ("/nothing", b"other -"),
    ],
)
async def test_a_map_gives_its_destinations_values(path, body):
    response = await ask(
        mapping(defaults=["other", "-"]), static(body="{kind} {id}"),
        request=make_request("GET", path),
    )  # fmt: skip
    assert response.body == body


async def test_what_a_client_sent_is_no_placeholder_in_a_map():
    config = mapping(mappings=[{"input_regexp": "/(.*)", "outputs": ["x", "$1"]}])
    response = await ask(
        config, static(body="{id}"), request=make_request("GET", "/%7Benv.HOME%7D")
    )
    assert response.body == b"{env.HOME}"


def test_a_map_with_too_few_outputs_is_a_config_error():
    with pytest.raises(ConfigError, match="outputs"):
        chain(mapping(mappings=[{"input": "/a", "outputs": ["one"]}]))


async def test_a_body_that_says_it_is_too_long_is_refused_at_once():
    with pytest.raises(HttpError, match="413"):
        await ask(
            {"handler": "request_body", "max_size": 3}, request=make_request("POST", body=b"four")
        )


async def test_a_body_that_turns_out_too_long_is_refused_while_it_is_read():
    async def echo(request):
        return Response(200, body=await read_all(request.body, 100))

    request = make_request("POST")
    request.body = body = StreamBody()
    body.feed(b"abc")
    body.feed(b"def")
    body.finish()
    with pytest.raises(HttpError, match="413"):
        await ask(
            {"handler": "request_body", "max_size": 5},
            {"handler": "file_sync"},
            request=request,
            rooms={"file_sync": echo},
        )


# rewrite


async def rewritten(target, method="GET", vars=None, **config):
    request = make_request(method, target)
    request.vars.update(vars or {})
    await ask({"handler": "rewrite", **config}, request=request)
    return request


@pytest.mark.parametrize(
    ("target", "config", "expected"),
    [
        ("/a?x=1", {"uri": "/b"}, "/b?x=1"),
        ("/a?x=1", {"uri": "?y=2"}, "/a?y=2"),
        ("/a?x=1", {"uri": "/b?"}, "/b"),
        ("/a?", {"uri": "/b?"}, "/b?"),
        ("/a?x=&&y=", {"uri": "{http.request.uri}"}, "/a?x=&y"),
        ("/a/%20b", {"path_regexp": [{"find": "[0-9]", "replace": "N"}]}, "/a/%20b"),
        ("/a?x=1", {"uri": "/b?y=2&{http.request.uri.query}"}, "/b?y=2&x=1"),
        ("/a?x=1", {"uri": "/i.php?p={http.request.uri.path}"}, "/i.php?p=%2Fa"),
        ("/a%20b?x=1", {"uri": "/p{http.request.uri.path}"}, "/p/a%20b?x=1"),
        ("/a%3Fb", {"uri": "/p{http.request.uri.path}"}, "/p/a%3Fb"),
        ("/a?x=1", {"uri": "/p{http.request.uri}"}, "/p/a?x=1"),
        ("/a", {"uri": "relative#fragment"}, "/relative"),
        ("/api/v1", {"strip_path_prefix": "/api"}, "/v1"),
        ("/API/v1", {"strip_path_prefix": "api"}, "/v1"),
        ("/api", {"strip_path_prefix": "/api"}, "/"),
        ("/%61pi/v1", {"strip_path_prefix": "/api"}, "/v1"),
        ("/a%2fb/c", {"strip_path_prefix": "/a%2fb"}, "/c"),
        ("/a/b/c", {"strip_path_prefix": "/a%2fb"}, "/a/b/c"),
        ("/%C3%BC/x", {"strip_path_prefix": "/ü"}, "/x"),
        ("//api//v1", {"strip_path_prefix": "/api"}, "/v1"),
        ("/other", {"strip_path_prefix": "/api"}, "/other"),
        ("/page.html", {"strip_path_suffix": ".html"}, "/page"),
        ("/page%2ehtml", {"strip_path_suffix": ".html"}, "/page"),
        ("/a/old/old?q=old", {"uri_substring": [{"find": "old", "replace": "new", "limit": 1}]},
         "/a/new/old?q=new"),
        ("/a1/b22", {"path_regexp": [{"find": r"[0-9]+", "replace": "<$0>"}]}, "/a%3C1%3E/b%3C22%3E"),
        ("/?b=2&a=1&b=3", {"query": {"delete": ["a"], "add": [{"key": "c", "val": "4"}]}},
         "/?b=2&b=3&c=4"),
        ("/?a=1", {"query": {"rename": [{"key": "a", "val": "z"}], "set": [{"key": "q", "val": "x y"}]}},
         "/?q=x+y&z=1"),
        ("/?a=foo&b=foo", {"query": {"replace": [{"key": "*", "search": "foo", "replace": "bar"}]}},
         "/?a=bar&b=bar"),
        ("/?a=x1", {"query": {"replace": [{"key": "a", "search_regexp": "x(.)", "replace": "$1"}]}},
         "/?a=1"),
    ],
)  # fmt: skip
async def test_rewrite(target, config, expected):
    assert (await rewritten(target, **config)).target == expected


async def test_a_rewrite_may_change_the_method_and_remembers_what_was():
    request = await rewritten("/a?b=c", method="POST", uri="/d")
    assert request.original == ("POST", "/a", "b=c")
    request = make_request("POST")
    await ask({"handler": "rewrite", "method": "put"}, request=request)
    assert request.method == "PUT"


@pytest.mark.parametrize(
    ("target", "config"),
    [
        ("/api/../secret", {"strip_path_prefix": "/api"}),
        ("/api..%2f..%2fsecret", {"strip_path_prefix": "/api"}),
        ("/api../../secret", {"strip_path_prefix": "/api"}),
        ("/x/..", {"uri": "/files{http.request.uri.path}"}),
        ("/%2e%2e/secret", {"uri": "/files{http.request.uri.path}"}),
        ("/.x./secret", {"uri_substring": [{"find": "x", "replace": ""}]}),
    ],
)
async def test_no_rewrite_leaves_a_way_up(target, config):
    try:
        request = await rewritten(target, **config)
    except HttpError as error:
        status = error.status
    else:
        status = 200
        assert ".." not in request.path.split("/")
        assert request.path.startswith("/")
    assert status in {200, 400}


async def test_a_placeholder_in_an_injected_query_stays_text():
    request = make_request("GET", "/a?{env.HOME}")
    await ask({"handler": "rewrite", "uri": "{http.request.uri}"}, request=request)
    assert request.query == "%7Benv.HOME%7D"


async def test_a_value_in_a_query_cannot_add_a_pair():
    request = make_request("GET", "/", ("X-User", "me&admin=1"))
    await ask({"handler": "rewrite", "uri": "?user={http.request.header.X-User}"}, request=request)
    assert request.query == "user=me%26admin%3D1"


def test_an_unknown_field_names_its_place():
    with pytest.raises(ConfigError) as caught:
        chain({"handler": "rewrite", "urii": "/x"})
    assert caught.value.path == "apps.http.servers.srv0.routes[0].handle[0].urii"
    assert "did you mean" in str(caught.value)
