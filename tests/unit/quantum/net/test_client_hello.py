"""The server name is read from real hellos, whole and in pieces; nonsense is left to OpenSSL."""

from __future__ import annotations

import ssl

import pytest

from quantum.net.client_hello import MAX_HELLO, read_client_hello


def hello(name: str | None, *protocols: str) -> bytes:
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def server_name(data: bytes) -> str | None:
    found = read_client_hello(data)
    return None if found is None else found.server_name


def test_the_name_is_found_in_lower_case() -> None:
    assert server_name(hello("Example.COM")) == "example.com"


def test_a_hello_without_a_name_has_none() -> None:
    assert server_name(hello(None)) == ""


def test_a_hello_in_pieces_is_waited_for() -> None:
    data = hello("example.com")
    assert all(read_client_hello(data[:size]) is None for size in range(1, len(data)))


def test_a_hello_may_be_cut_into_records() -> None:
    data = hello("example.com")
    body = data[5:]
    records = [body[:10], body[10:50], body[50:]]
    cut = b"".join(data[:3] + len(r).to_bytes(2, "big") + r for r in records)
    assert server_name(cut) == "example.com"
    assert read_client_hello(cut[:40]) is None


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"],
)
def test_what_is_no_hello_is_left_to_openssl(data: bytes) -> None:
    assert server_name(data) == ""


def test_a_mutilated_hello_never_raises() -> None:
    data = hello("example.com")
    for position in range(5, len(data)):
        read_client_hello(data[:position] + b"\xff" + data[position + 1 :])


def test_a_hello_that_never_ends_is_given_up() -> None:
    endless = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + b"\x00" * 16380
    record = b"\x16\x03\x01\x40\x00" + b"\x00" * 16384
    assert read_client_hello(endless) is None
    assert server_name(endless + record * (MAX_HELLO // 16384)) == ""


@pytest.mark.parametrize(
    ("protocols", "is_acme"),
    [(["acme-tls/1"], True), (["acme-tls/1", "h2"], False), (["h2"], False), ([], False)],
)
def test_who_speaks_acme_alone_asks_for_a_proof(protocols: list[str], is_acme: bool) -> None:
    found = read_client_hello(hello("example.com", *protocols))
    assert found is not None
    assert (found.server_name, found.is_acme) == ("example.com", is_acme)


@pytest.mark.parametrize(
    ("protocols", "offered", "can_speak"),
    [
        ([], ("h2",), True),
        (["h2"], (), True),
        (["foo", "h2"], ("h2", "http/1.1"), True),
        (["http/1.1"], ("h2",), True),
        (["h2"], ("http/1.1",), False),
        (["foo", "http/1.0"], ("h2", "http/1.1"), False),
    ],
)
def test_who_asks_for_nothing_that_is_spoken_is_told_apart(
    protocols: list[str], offered: tuple[str, ...], can_speak: bool
) -> None:
    found = read_client_hello(hello("example.com", *protocols))
    assert found is not None
    assert found.can_speak(offered) is can_speak
