"""RFC 9112, as a server must read it; a head that two servers could read differently is refused."""

from __future__ import annotations

import pytest

from quantum.errors import HttpError
from quantum.wire.h1 import request as codec
from quantum.wire.h1.request import MAX_FIELDS, MAX_TARGET_BYTES, RequestHead, parse_head


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "example.com") -> bytes:
    lines = [line, *([] if host is None else [f"Host: {host}"]), *fields]
    return "\r\n".join(lines).encode("latin-1")


def refusal(data: bytes) -> int:
    with pytest.raises(HttpError) as caught:
        parse_head(data)
    assert caught.value.reason, "a refusal says why, for the log"
    return caught.value.status


# Request line (§3).


def test_a_plain_request() -> None:
    parsed = parse_head(head("GET /a/b?c=d HTTP/1.1", "Accept: */*"))
    assert (parsed.method, parsed.target, parsed.authority) == ("GET", "/a/b?c=d", "example.com")
    assert parsed.fields == [(b"accept", b"*/*")]
    assert parsed.keep_alive
    assert parsed.length == 0


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET /",
        "GET / HTTP/1.1\x00", "GET\t/\tHTTP/1.1", "", "G@T / HTTP/1.1", "GET / http/1.1",
        "GET / HTTP/1.10", "GET / HTTP/1,1", "GET / HTTP/01.1", "GET /a b HTTP/1.1", "\nGET / HTTP/1.1",
    ],
)  # fmt: skip
def test_a_request_line_that_is_not_three_words_and_two_spaces_is_400(line: str) -> None:
    assert refusal(head(line)) == 400


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0"])
def test_another_major_version_is_505(version: str) -> None:
    assert refusal(head(f"GET / {version}")) == 505


def test_a_minor_version_we_do_not_know_is_refused_or_read_as_1_1() -> None:
    assert parse_head(head("GET / HTTP/1.2")).http_1_0 is False


def test_an_unknown_method_is_for_the_handlers_and_an_endless_one_is_405() -> None:
    assert parse_head(head("BREW / HTTP/1.1")).method == "BREW"
    assert refusal(head(f"{'A' * 33} / HTTP/1.1")) == 405


# Targets (§3.2).


def test_an_absolute_target_overrides_host() -> None:
    parsed = parse_head(head("GET http://other.example:8080/a?b HTTP/1.1"))
    assert (parsed.authority, parsed.target) == ("other.example:8080", "/a?b")


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("GET http://a.example HTTP/1.1", "/"),
        ("GET http://a.example?q HTTP/1.1", "/?q"),
        ("OPTIONS http://a.example HTTP/1.1", "*"),
        ("OPTIONS * HTTP/1.1", "*"),
        ("GET //a//b HTTP/1.1", "//a//b"),
    ],
)
def test_the_forms_of_a_target(line: str, target: str) -> None:
    assert parse_head(head(line)).target == target


@pytest.mark.parametrize(
    "line",
    [
        "GET * HTTP/1.1", "GET a HTTP/1.1", "GET example.com:80 HTTP/1.1", "GET ftp://a/ HTTP/1.1",
        "GET http:///a HTTP/1.1", "GET http://user@a/ HTTP/1.1", "GET /a#b HTTP/1.1",
        "GET /\x7f HTTP/1.1", "GET /\x01 HTTP/1.1", "CONNECT / HTTP/1.1", "CONNECT a HTTP/1.1",
    ],
)  # fmt: skip
def test_a_target_in_no_form_is_400(line: str) -> None:
    assert refusal(head(line)) == 400


def test_connect_in_its_form_is_405_because_this_is_no_forward_proxy() -> None:
    assert refusal(head("CONNECT a.example:443 HTTP/1.1")) == 405


def test_raw_bytes_above_ascii_are_percent_encoded() -> None:
    assert parse_head(head("GET /\xc3\xa9 HTTP/1.1")).target == "/%C3%A9"


def test_a_target_that_is_too_long_is_414() -> None:
    assert refusal(head(f"GET /{'a' * MAX_TARGET_BYTES} HTTP/1.1")) == 414


# Host (§3.2, §7.2).


def test_a_1_1_request_has_exactly_one_host() -> None:
    assert refusal(head(host=None)) == 400
    assert refusal(head("GET / HTTP/1.1", "Host: other.example")) == 400
    assert refusal(head("GET / HTTP/1.1", "host: example.com")) == 400
    assert parse_head(head("GET / HTTP/1.0", host=None)).authority == ""


@pytest.mark.parametrize(
    "host", ["a b", "a,b/c", "a/b", "user@a", "a:b", "a:999999", "[::1", "::1", "a\x0b", "a:1:2"]
)
def test_a_malformed_host_is_400(host: str) -> None:
    assert refusal(head(host=host)) == 400


@pytest.mark.parametrize("host", ["a", "a:80", "[::1]:80", "[::1]", "a_b.example", "", "a:"])
def test_hosts_that_are_well_formed(host: str) -> None:
    assert parse_head(head(host=host)).authority == host


# Field lines (§5).


@pytest.mark.parametrize(
    "field",
    [
        "A : b", " A: b", "\tfolded", "A\t: b", ": b", "no colon", "A b: c", "\xc3\xa9: b", "A: b\x00",
        "A: b\x01", "A: b\rc", "A: b\nc", "A\x00: b", "(A): b", "A: \x7f",
    ],
)  # fmt: skip
def test_a_malformed_field_line_is_400(field: str) -> None:
    assert refusal(head("GET / HTTP/1.1", "X-First: 1", field)) == 400


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    assert parse_head(head("GET / HTTP/1.1", "X-A: \t b c \t")).fields == [(b"x-a", b"b c")]


def test_names_with_underscores_or_dots_are_dropped() -> None:
    parsed = parse_head(head("GET / HTTP/1.1", "X_Real_Ip: 1", "X.Y: 2", "X-Ok: 3"))
    assert parsed.fields == [(b"x-ok", b"3")]


def test_more_fields_than_allowed_are_431() -> None:
    assert refusal(head("GET / HTTP/1.1", *["X-A: b"] * MAX_FIELDS)) == 431
    assert len(parse_head(head("GET / HTTP/1.1", *["X-A: b"] * (MAX_FIELDS - 1))).fields) == 99


def test_secrets_are_not_kept_in_the_cache_of_lines() -> None:
    parse_head(head("GET / HTTP/1.1", "Cookie: sid=secret-1", "Authorization: Basic secret-2"))
    assert not any(b"secret-" in line for line in codec._known)


def test_the_cache_of_lines_is_bounded() -> None:
    for number in range(codec.LINE_CACHE_SIZE + 10):
        parse_head(head("GET / HTTP/1.1", f"X-Number: {number}"))
    assert len(codec._known) <= codec.LINE_CACHE_SIZE


# Framing (§6): the smuggling table.

CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 5", CHUNKED],
        [CHUNKED, "Content-Length: 5"],
        ["Content-Length: 0", CHUNKED],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 05"],
        ["Content-Length: 5 5"],
        ["Content-Length: 5a"],
        ["Content-Length: "],
        ["Content-Length: 5_0"],
        ["Content-Length: \xb2"],
        ["Content-Length: 9999999999999999999999"],
        [CHUNKED, CHUNKED],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding: chunked;a=b"],
        ["Transfer-Encoding: 'chunked'"],
        ['Transfer-Encoding: "chunked"'],
        ["Transfer-Encoding:"],
        ["Transfer-Encoding: ,chunked"],
        ["Transfer-Encoding: chunked,"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding\t: chunked"],
        [" Transfer-Encoding: chunked"],
        ["X: y\nTransfer-Encoding: chunked"],
        ["X: y\rTransfer-Encoding: chunked"],
        ["Content-Length : 5"],
    ],
)
def test_framing_that_two_servers_could_read_differently_is_400(fields: list[str]) -> None:
    assert refusal(head("POST / HTTP/1.1", *fields)) == 400


def test_a_transfer_coding_we_do_not_speak_is_501() -> None:
    assert refusal(head("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked")) == 501


def test_transfer_encoding_in_1_0_is_400() -> None:
    assert refusal(head("POST / HTTP/1.0", CHUNKED)) == 400


def test_names_that_only_look_like_framing_do_not_frame() -> None:
    parsed = parse_head(head("POST / HTTP/1.1", "Content_Length: 5", "Transfer.Encoding: chunked"))
    assert (parsed.length, parsed.chunked, parsed.fields) == (0, False, [])


@pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED"])
def test_a_chunked_body_has_no_length(value: str) -> None:
    parsed = parse_head(head("POST / HTTP/1.1", f"Transfer-Encoding: {value}"))
    assert (parsed.chunked, parsed.length) == (True, None)


def test_framing_fields_are_not_among_the_fields() -> None:
    parsed = parse_head(
        head(
            "POST / HTTP/1.1", "Content-Length: 5", "Connection: keep-alive, X-Hop", "X-Hop: 1",
            "Keep-Alive: timeout=5", "X-End: 2", "Proxy-Connection: close",
        )
    )  # fmt: skip
    assert parsed.fields == [(b"x-end", b"2")]
    assert parsed.length == 5


def test_an_expectation_is_known_and_passed_on_for_who_asks_an_upstream_first() -> None:
    parsed = parse_head(head("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-Continue"))
    assert parsed.expects_continue
    assert parsed.fields == [(b"expect", b"100-continue")]


# Connections (§9), expectations, upgrades.


def test_who_keeps_the_connection() -> None:
    def keeps(*fields: str, version: str = "1.1") -> bool:
        return parse_head(head(f"GET / HTTP/{version}", *fields)).keep_alive

    assert keeps()
    assert not keeps("Connection: close")
    assert not keeps("Connection: foo, Close")
    assert not keeps("Connection: foo", "Connection: close")
    assert not keeps(version="1.0")
    assert keeps("Connection: Keep-Alive", version="1.0")
    assert not keeps("Connection: keep-alive, close", version="1.0")


def test_an_unknown_expectation_is_417_and_1_0_expects_nothing() -> None:
    assert refusal(head("POST / HTTP/1.1", "Expect: 200-maybe")) == 417
    assert not parse_head(head("POST / HTTP/1.0", "Expect: 100-continue")).expects_continue


def test_te_survives_only_as_trailers() -> None:
    parsed = parse_head(head("GET / HTTP/1.1", "TE: gzip, Trailers", "Connection: TE"))
    assert parsed.fields == [(b"te", b"trailers")]


def websocket(*fields: str) -> RequestHead:
    return parse_head(
        head("GET / HTTP/1.1", "Connection: keep-alive, Upgrade", "Upgrade: websocket", *fields)
    )


def test_a_websocket_upgrade_needs_a_key_of_sixteen_bytes() -> None:
    parsed = websocket("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    assert parsed.upgrade == "websocket"
    assert parsed.fields == [(b"sec-websocket-version", b"13")]
    for fields in ([], ["Sec-WebSocket-Key: c2hvcnQ="], ["Sec-WebSocket-Key: "]):
        with pytest.raises(HttpError):
            websocket(*fields)


def test_an_upgrade_counts_only_when_connection_names_it() -> None:
    assert parse_head(head("GET / HTTP/1.1", "Upgrade: websocket")).upgrade is None
    h2c = parse_head(
        head("GET / HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
             "HTTP2-Settings: AAMAAABkAAQAAP__")
    )  # fmt: skip
    assert (h2c.upgrade, h2c.fields) == (None, [])


def test_an_upgrade_with_a_body_is_a_plain_request() -> None:
    parsed = parse_head(
        head("POST / HTTP/1.1", "Connection: Upgrade", "Upgrade: foo/2", "Content-Length: 1")
    )
    assert parsed.upgrade is None
