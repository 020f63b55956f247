"""Placeholders: what each key means, what becomes of unknown ones, and what is text after all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from quantum.errors import HttpError
from quantum.http.headers import Headers
from quantum.http.message import TlsFacts
from quantum.http.placeholders import Mode, compile_template, constant, to_text
from quantum.http.placeholders.request import go_duration, split_host
from quantum.http.placeholders.surroundings import use_environment
from quantum.testing.routing import make_request

TLS = TlsFacts("tls1.3", "TLS_AES_128_GCM_SHA256", "example.com", "h2")


def expand(template, request=None, mode=Mode.ALL):
    return compile_template(template, mode)(request or make_request())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "GET"),
        ("scheme", "http"),
        ("proto", "HTTP/1.1"),
        ("proto_name", "HTTP/1.1"),
        ("host", "www.example.com"),
        ("hostport", "www.example.com:8080"),
        ("port", "8080"),
        ("host.labels.0", "com"),
        ("host.labels.2", "www"),
        ("host.labels.9", ""),
        ("uri", "/a%20b/c.tar.gz?x=1&y=2&x=3"),
        ("uri_escaped", "%2Fa%2520b%2Fc.tar.gz%3Fx%3D1%26y%3D2%26x%3D3"),
        ("uri.path", "/a b/c.tar.gz"),
        ("uri.path_escaped", "%2Fa+b%2Fc.tar.gz"),
        ("uri.path.0", "a b"),
        ("uri.path.1", "c.tar.gz"),
        ("uri.path.dir", "/a b/"),
        ("uri.path.file", "c.tar.gz"),
        ("uri.path.file.base", "c.tar"),
        ("uri.path.file.ext", ".gz"),
        ("uri.query", "x=1&y=2&x=3"),
        ("uri.prefixed_query", "?x=1&y=2&x=3"),
        ("uri.query.x", "1,3"),
        ("uri.query.z", ""),
        ("orig_uri.path.1", "c.tar.gz"),
        ("header.X-Two", "one,two"),
        ("header.x-none", ""),
        ("cookie.session", "abc"),
        ("remote", "192.0.2.7:4711"),
        ("remote.host", "192.0.2.7"),
        ("remote.port", "4711"),
        ("remote.host/24", "192.0.2.0/24"),
        ("remote.host/16,64", "192.0.0.0/16"),
        ("local", "198.51.100.1:80"),
        ("body", "hello"),
        ("body_base64", "aGVsbG8="),
    ],
)
def test_a_request_key_has_caddys_value(key, value):
    request = make_request(
        "GET", "/a%20b/c.tar.gz?x=1&y=2&x=3",
        ("X-Two", "one"), ("X-Two", "two"), ("Cookie", "a=b; Session=abc"),
        host="www.example.com:8080", body=b"hello",
    )  # fmt: skip
    assert expand(f"{{http.request.{key}}}", request) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [("version", "tls1.3"), ("proto", "h2"), ("resumed", "false"), ("server_name", "example.com")],
)
def test_a_session_key_is_empty_without_tls(key, value):
    template = f"{{http.request.tls.{key}}}"
    assert expand(template, make_request(tls=TLS), Mode.KNOWN) == value
    assert expand(template, make_request(), Mode.KNOWN) == ""


def test_a_key_about_the_clients_certificate_is_unknown_without_one():
    template = "{http.request.tls.client.fingerprint}"
    assert expand(template, make_request(tls=TLS), Mode.KNOWN) == template
    with_certificate = TlsFacts("tls1.3", "", "", "h2", client_certificate=b"der")
    assert len(expand(template, make_request(tls=with_certificate))) == 64


def test_the_original_target_survives_a_rewrite():
    request = make_request("GET", "/before?q=1")
    request.keep_original()
    request.method, request.path, request.query = "PUT", "/after", None
    keys = "{http.request.orig_method} {http.request.orig_uri} {http.request.uri}"
    assert expand(keys, request) == "GET /before?q=1 /after"


def test_variables_are_read_when_the_text_is_made():
    template = compile_template("{http.vars.n}-{http.vars.flag}-{http.vars.none}-{my.own}")
    request = make_request()
    request.vars.update({"n": 1.5, "flag": True, "none": None, "my.own": "x"})
    assert template(request) == "1.5-true--x"
    assert template(make_request()) == "---"


def test_a_value_is_never_expanded_again():
    request = make_request("GET", "/", ("X-Evil", "{env.SECRET}"))
    use_environment({"SECRET": "hunter2"})
    assert expand("{http.request.header.X-Evil}", request) == "{env.SECRET}"


def test_the_environment_is_what_was_handed_in():
    use_environment({"NAME": "value"})
    assert expand("{env.NAME}{env.PATH}") == "value"


def test_time_comes_from_the_clock():
    class Clock:
        def now(self):
            return datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)

        def monotonic(self):
            return 0.0

        async def sleep(self, seconds):
            raise NotImplementedError

    from quantum.clock import SystemClock

    use_environment({}, Clock())
    try:
        text = expand("{time.now.year} {time.now.unix} {time.now.http} {time.now.common_log}")
        assert text == ("2026 1795395723 Mon, 23 Nov 2026 01:02:03 GMT 23/Nov/2026:01:02:03 +0000")
    finally:
        use_environment({}, SystemClock())


def test_a_file_is_read_without_its_last_line_break(tmp_path):
    (tmp_path / "token").write_bytes(b"s3cret\r\n")
    assert expand(f"{{file.{tmp_path}/token}}") == "s3cret"
    assert expand(f"{{file.{tmp_path}/missing}}") == ""


@pytest.mark.parametrize(
    ("template", "all_", "known"),
    [
        ("plain", "plain", "plain"),
        ("{nope}", "", "{nope}"),
        ("a{nope}b{http.request.method}c", "abGETc", "a{nope}bGETc"),
        (r"\{http.request.method\}", "{http.request.method}", "{http.request.method}"),
        ("{unclosed", "{unclosed", "{unclosed"),
        ("closed}", "closed}", "closed}"),
        ("{}", "", "{}"),
        ('{"m":"{http.request.method}"}', '"}', '{"m":"GET"}'),
        ("{http.request.host.labels.x}", "", "{http.request.host.labels.x}"),
    ],
)
def test_unknown_keys_follow_the_mode(template, all_, known):
    assert expand(template) == all_
    assert expand(template, mode=Mode.KNOWN) == known


def test_json_that_only_looks_like_placeholders_is_constant():
    assert constant('{"status":"ok"}', Mode.KNOWN) == '{"status":"ok"}'
    assert constant("{http.request.method}", Mode.KNOWN) is None
    assert constant(r"\{a\}") == "{a}"


@pytest.mark.parametrize("template", ["{nope}", "{http.request.uri.query}"])
def test_a_required_key_that_is_unknown_or_empty_fails(template):
    with pytest.raises(HttpError, match="500"):
        expand(template, mode=Mode.OR_ERROR)


def test_a_template_with_senselessly_many_open_braces_is_refused():
    with pytest.raises(ValueError):
        compile_template("{" * 200)


def test_fields_of_the_response_are_known_once_there_are_any():
    request = make_request()
    assert expand("{http.response.header.Server}", request) == ""
    request.response_fields = Headers([(b"server", b"Quantum")])
    assert expand("{http.response.header.Server}", request) == "Quantum"


def test_the_uuid_of_a_request_stays_the_same():
    request = make_request()
    first = expand("{http.request.uuid}", request)
    assert len(first) == 36
    assert expand("{http.request.uuid}", request) == first
    assert expand("{http.request.uuid}") != first


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1.5e-6, "1.5µs"), (0.25, "250ms"), (1.5, "1.5s"), (62, "1m2s"), (3600, "1h0m0s")],
)
def test_durations_are_printed_as_go_prints_them(seconds, text):
    assert go_duration(seconds) == text


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("a.example", ("a.example", "")),
        ("a.example:80", ("a.example", "80")),
        ("[::1]:80", ("::1", "80")),
        ("[::1]", ("::1", "")),
        ("::1", ("::1", "")),
        ("", ("", "")),
    ],
)
def test_an_authority_is_split_into_host_and_port(authority, parts):
    assert split_host(authority) == parts


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (True, "true"), (3, "3"), (3.0, "3"), (b"x", "x"), (["a", 1], "[a 1]")],
)
def test_values_are_shown_as_json_or_go_would(value, text):
    assert to_text(value) == text
