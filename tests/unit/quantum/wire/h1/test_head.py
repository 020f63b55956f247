"""The last line before the wire: nothing written can be split by what stands in it."""

from __future__ import annotations

import pytest

from quantum.wire.h1.head import (
    NAME_CACHE_SIZE,
    NamePrefixes,
    UnsafeField,
    canonical,
    encode_chunk,
    encode_last_chunk,
    encode_response_head,
)


def test_a_response_head_is_one_status_line_and_its_fields() -> None:
    head = encode_response_head(200, [(b"content-type", b"text/plain"), (b"x-a", b"")])
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: \r\n\r\n"


def test_an_unregistered_status_has_no_reason_but_its_space() -> None:
    assert encode_response_head(299, []) == b"HTTP/1.1 299 \r\n\r\n"


@pytest.mark.parametrize("status", [99, 1000, -1])
def test_what_is_no_status_is_not_written(status: int) -> None:
    with pytest.raises(ValueError, match="not a status"):
        encode_response_head(status, [])


@pytest.mark.parametrize(
    "value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b", b"\r\n\r\nHTTP/1.1 200 OK"]
)
def test_a_value_cannot_add_lines(value: bytes) -> None:
    with pytest.raises(UnsafeField):
        encode_response_head(200, [(b"x-a", value)])
    with pytest.raises(UnsafeField):
        encode_last_chunk([(b"x-a", value)])


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xc3\xa9", b"a\0"])
def test_a_name_is_a_token(name: bytes) -> None:
    with pytest.raises(UnsafeField):
        encode_response_head(200, [(name, b"v")])


def test_names_are_shown_in_canonical_case() -> None:
    assert canonical(b"x-forwarded-for") == b"X-Forwarded-For"
    assert canonical(b"etag") == b"Etag"


def test_the_cache_of_names_is_bounded() -> None:
    prefixes = NamePrefixes()
    for number in range(NAME_CACHE_SIZE * 2 + 1):
        assert prefixes[b"x-%d" % number]
    assert len(prefixes) <= NAME_CACHE_SIZE


def test_chunks_carry_their_size_in_hexadecimal() -> None:
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_trailers_that_would_change_the_message_are_left_out() -> None:
    fields = [(b"x-sum", b"1"), (b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    assert encode_last_chunk(fields) == b"0\r\nX-Sum: 1\r\n\r\n"
