"""Templates: what fails and how it is told, what bounds them, what they may read, what becomes of the answer."""

from __future__ import annotations

import asyncio
import os

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.testing.routing import make_request, parse_routes
from services.edge.manifest import MANIFEST
from services.edge.templates import execution
from tests.unit.services.edge.templates import pages

FAILING = [
    ("{{", "does not end"), ("{{if}}", "unexpected '}}'"), ("{{if true}}", "without {{end}}"), ("{{end}}", "unexpected end"),
    ("{{.Nothing}}", "can't evaluate field Nothing"), ("{{unknown 1}}", "function 'unknown' not defined"), ("{{$x}}", "undefined variable"),
    ("{{index (list 1) 5}}", "out of range"), ("{{eq 1 \"a\"}}", "incompatible types"), ("{{template \"none\"}}", "'none' not defined"),
    ("{{include \"/none\"}}", "No such file"), ("{{fail \"stop\"}}", "stop"), ("{{break}}", "break outside of range"), ("{{1 | 2}}", "cannot be given"),
    ("{{\"a\" 1}}", "no function has arguments"), ("{{template 5}}", "name in quotes"), ("{{else}}", "unexpected else"), ("{{nil}}", "nil is not a command"),
    ("\n\n{{upper 5}}", "line 3: error calling upper"), ("{{/* x", "comment does not end"), ("{{regexMatch \"(\" \"\"}}", "not a regular expression"),
    ("{{(list).x}}", "can't evaluate field x"), ("{{div 1 0}}", "divide by zero"),
]  # fmt: skip


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (root / "inc.html").write_text("[{{index .Args 0}}]")
    (root / "self.html").write_text('{{include "/self.html"}}')
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize(("source", "told"), FAILING)
async def test_a_template_that_fails_is_a_500_that_tells_the_log_where(site, source, told):
    with pytest.raises(HttpError) as caught:
        await pages.render(site, source)
    assert caught.value.status == 500
    assert told in caught.value.reason
    assert "line " in caught.value.reason


@pytest.mark.parametrize("name", ["__class__", "members", "get", "keys", "text", "_private"])
async def test_attributes_of_python_are_no_fields(site, name):
    assert await pages.render(site, "{{.Req.Header." + name + "}}") == "<no value>"
    for path in (".", ".Req", ".Req.URL", ".RespHeader.Set"):
        with pytest.raises(HttpError):
            await pages.render(site, "{{(" + path + ")." + name + "}}")


@pytest.mark.parametrize(
    "name", ["/../secret.txt", "../secret.txt", "/link.txt", "/pipe", "/", "/a\\\\..\\\\secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt"]
)  # fmt: skip
async def test_files_beside_the_root_are_not_read(site, name):
    for function in ("readFile", "include", "import"):
        with pytest.raises(HttpError):
            await pages.render(site, "{{" + f'{function} "{name}"' + "}}")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{{define \"T\"}}{{template \"T\"}}{{end}}{{template \"T\"}}", "nested deeper"), ("{{include \"/self.html\"}}", "deeper than 20"),
        ("{{range 1000}}{{range 10000}}{{end}}{{end}}", "steps"), ("{{range 100000}}{{repeat 1000 \"x\"}}{{end}}", "characters"),
        ("{{repeat 100000000 \"x\"}}", "characters"), ("{{$x := repeat 10000000 \"x\"}}{{print $x $x}}", "characters"),
        ("{{$x := repeat 10000000 \"x\"}}{{join \"\" (list $x $x $x)}}", "characters"), ("{{until 10000000}}", "numbers"),
        ("{{$d := dict}}{{$_ := set $d \"a\" $d}}{{$d}}", "deeply"), ("{{printf \"%100000d\" 1}}", "wider"), ("{{range 2000000}}{{end}}", "range over"),
        ("{{" + "(" * 100 + "1" + ")" * 100 + "}}", "nested deeper"), ("{{if 1}}" * 100 + "{{end}}" * 100, "nested deeper"),
    ],
)  # fmt: skip
async def test_a_template_cannot_hold_the_server_up(site, monkeypatch, source, told):
    monkeypatch.setattr(execution, "MAX_STEPS", 300_000)
    with pytest.raises(HttpError) as caught:
        await pages.render(site, source)
    assert told in caught.value.reason


async def test_other_requests_are_answered_while_a_template_computes(site):
    computing = asyncio.ensure_future(pages.render(site, "{{range 200000}}{{end}}done"))
    await asyncio.sleep(0)
    turns = 0
    while not computing.done():
        await asyncio.sleep(0)
        turns += 1
    assert await computing == "done"
    assert turns > 10


async def test_what_the_answer_said_of_the_template_is_not_said_of_the_page(site):
    fields = [
        (b"content-type", b"text/html"),
        (b"etag", b'"x"'),
        (b"last-modified", b"x"),
        (b"content-length", b"5"),
        (b"x-kept", b"1"),
    ]
    seen = []

    async def answer(request):
        seen.append(request.headers.get(b"range"))
        return Response(200, Headers(fields), '{{.RespHeader.Set "X-A" "1"}}é'.encode())

    handle = pages.chain(site, answer)
    response = await handle(make_request("GET", "/", ("Range", "bytes=0-1")))
    assert response.body == "é".encode()
    assert sorted(response.headers.fields) == [
        (b"content-length", b"2"),
        (b"content-type", b"text/html"),
        (b"x-a", b"1"),
        (b"x-kept", b"1"),
    ]
    assert seen == [None]
    head = await handle(make_request("HEAD", "/"))
    assert head.headers.get(b"etag") is None


@pytest.mark.parametrize(
    ("status", "fields"),
    [(200, [(b"content-type", b"image/png")]), (200, []), (304, [(b"content-type", b"text/html")]),
     (200, [(b"content-type", b"text/html"), (b"content-encoding", b"gzip")])],
)  # fmt: skip
async def test_other_answers_pass_as_they_are(site, status, fields):
    async def answer(request):
        return Response(status, Headers(fields), b'{{fail "executed"}}')

    response = await pages.chain(site, answer)(make_request())
    assert response.body == b'{{fail "executed"}}'


@pytest.mark.parametrize("value", ["a\\r\\nX-B: 1", "a\\x00"])
async def test_a_field_that_a_template_sets_is_one_line(site, value):
    with pytest.raises(HttpError):
        await pages.render(site, "{{" + f'.RespHeader.Set "X-A" "{value}"' + "}}")


async def test_an_included_answer_of_this_server_is_executed_once_and_not_what_clients_put_in_it(
    site,
):
    async def answer(request):
        if request.path == "/inner":
            body = 'in {{.Req.Method}} {{.Req.Header.Get "X"}} ' + "{{.Req.URL.RawQuery}}"
            return Response(200, Headers([(b"content-type", b"text/html")]), body.encode())
        return Response(
            200, Headers([(b"content-type", b"text/html")]), b'{{httpInclude "/inner?{{fail}}"}}'
        )

    response = await pages.chain(site, answer)(make_request("GET", "/", ("X", "7")))
    assert response.body == b"in GET 7 {{fail}}"


async def test_pages_that_include_themselves_end(site):
    async def answer(request):
        return Response(200, Headers([(b"content-type", b"text/html")]), b'{{httpInclude "/"}}')

    with pytest.raises(HttpError) as caught:
        await pages.chain(site, answer)(make_request())
    assert caught.value.status == 500


async def test_many_pages_that_include_pages_do_not_wait_for_each_other(site):
    async def answer(request):
        body = b"inner" if request.path == "/inner" else b'{{httpInclude "/inner"}}'
        return Response(200, Headers([(b"content-type", b"text/html")]), body)

    handle = pages.chain(site, answer)
    async with asyncio.timeout(60):
        responses = await asyncio.gather(*(handle(make_request()) for _ in range(50)))
    assert {response.body for response in responses} == {b"inner"}


async def test_delimiters_may_be_others(site):
    assert await pages.render(site, "<<1>> {{2}}", delimiters=["<<", ">>"]) == "1 {{2}}"


@pytest.mark.parametrize("delimiters", [["{{"], ["", "}}"], ["a", "b", "c"]])
def test_delimiters_are_two(delimiters):
    with pytest.raises(ConfigError, match="delimiters"):
        parse_routes(
            MANIFEST.modules, [{"handle": [{"handler": "templates", "delimiters": delimiters}]}]
        )


async def test_a_status_of_the_template_is_the_answers(site):
    with pytest.raises(HttpError) as caught:
        await pages.render(site, "{{httpError 404}}")
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")


async def test_ages_and_front_matter_are_read(site):
    assert await pages.render(site, '{{humanize "time" (now | dateModify "-3h")}}') == "3 hours ago"
    assert (
        await pages.render(
            site, '{{(splitFrontMatter "---\\nd: 2026-11-26\\n---\\n").Meta.d.Year}}'
        )
        == "2026"
    )
    with pytest.raises(HttpError):
        await pages.render(
            site, '{{splitFrontMatter "---\\n!!python/object/apply:os.getcwd []\\n---\\n"}}'
        )
