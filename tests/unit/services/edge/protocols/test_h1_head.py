"""How an HTTP/1.1 answer is framed, and that its fast way says the same as its general one."""

from __future__ import annotations

import pytest

from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.wire.h1.head import UnsafeField
from services.edge.protocols.h1_head import Stamps, encode_head, encode_plain, encode_switch

STAMPS = Stamps()


def lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def encode(response: Response, **how: bool) -> tuple[list[bytes], object]:
    options = {"is_head": False, "http_1_0": False, "close": False, **how}
    head, framing = encode_head(response, STAMPS, **options)
    return lines(head), framing


FIELDS = [
    [],
    [(b"content-type", b"text/plain")],
    [(b"date", b"D")],
    [(b"server", b"S"), (b"x-a", b"1")],
    [(b"server", b"S"), (b"date", b"D"), (b"via", b"1.1 Quantum")],
    [(b"via", b"1.1 Quantum")],
    [(b"via", b"a"), (b"via", b"b"), (b"content-length", b"99")],
]


@pytest.mark.parametrize("fields", FIELDS)
def test_the_fast_way_and_the_general_way_say_the_same(fields: list[tuple[bytes, bytes]]) -> None:
    stamps = Stamps()
    response = Response(200, Headers(fields), b"hello")
    head, _ = encode_head(response, stamps, is_head=False, http_1_0=False, close=False)
    assert encode_plain(response, b"hello", stamps) == head + b"hello"


def test_a_shared_answer_is_encoded_once_a_second() -> None:
    stamps = Stamps()
    response = Response(200, Headers(), b"hello")
    first = encode_plain(response, b"hello", stamps)
    assert encode_plain(response, b"hello", stamps) is first
    stamps.refresh()
    assert encode_plain(response, b"hello", stamps) is not first


@pytest.mark.parametrize("status", [204, 304, 199])
def test_the_fast_way_leaves_what_has_no_body_to_the_general_one(status: int) -> None:
    assert encode_plain(Response(status), b"", Stamps()) is None


def test_the_fast_way_refuses_what_would_split_the_answer() -> None:
    with pytest.raises(UnsafeField):
        encode_plain(Response(200, Headers([(b"x", b"a\r\nb: c")])), b"", Stamps())


def test_an_answer_from_an_origin_carries_no_server_of_ours() -> None:
    head, _ = encode(Response(200, Headers([(b"via", b"1.1 Quantum")])))
    assert not any(line.startswith(b"Server:") for line in head)
    assert any(line.startswith(b"Date:") for line in head)


def test_fields_of_the_connection_are_not_the_handlers_to_set() -> None:
    fields = [(b"transfer-encoding", b"x"), (b"keep-alive", b"1"), (b"upgrade", b"h2c")]
    head, _ = encode(Response(200, Headers(fields), b"a"))
    assert {line.partition(b":")[0] for line in head[1:]} == {b"Content-Length", b"Server", b"Date"}


def test_a_handler_may_ask_to_close_by_field() -> None:
    head, framing = encode(Response(308, Headers([(b"connection", b"close")])))
    assert b"Connection: close" in head
    assert framing.close


@pytest.mark.parametrize(
    ("body", "declared", "how", "expected"),
    [
        (b"abc", None, {}, b"Content-Length: 3"),
        (b"abc", b"9", {}, b"Content-Length: 3"),
        (b"", b"9", {"is_head": True}, b"Content-Length: 9"),
        (StreamBody(5), None, {}, b"Content-Length: 5"),
        (StreamBody(), b"7", {}, b"Content-Length: 7"),
        (StreamBody(), None, {}, b"Transfer-Encoding: chunked"),
        (StreamBody(), None, {"http_1_0": True}, b"Connection: close"),
    ],
)
def test_how_a_body_is_framed(body, declared, how, expected) -> None:
    fields = [] if declared is None else [(b"content-length", declared)]
    head, _ = encode(Response(200, Headers(fields), body), **how)
    assert expected in head
    assert sum(b"Content-Length" in line for line in head) <= 1


def test_a_switch_of_protocols_names_it_and_proves_the_key() -> None:
    response = Response(
        101, Headers([(b"sec-websocket-protocol", b"p"), (b"content-length", b"1")])
    )
    head = lines(encode_switch(response, "websocket", b"proof", STAMPS))
    assert head[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Connection: Upgrade" in head
    assert b"Upgrade: websocket" in head
    assert b"Sec-Websocket-Accept: proof" in head
    assert b"Sec-Websocket-Protocol: p" in head
    assert not any(line.startswith(b"Content-Length") for line in head)
