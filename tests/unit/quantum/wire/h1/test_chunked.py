"""RFC 9112 §7.1: chunks are read to the byte, however the bytes arrive."""

from __future__ import annotations

import pytest

from quantum.errors import HttpError
from quantum.wire.h1.chunked import MAX_CHUNK_LINE, MAX_TRAILER_BYTES, MAX_TRAILERS, ChunkedReader

MESSAGE = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\nGET /next"


def read(*parts: bytes) -> tuple[bytes, ChunkedReader]:
    reader = ChunkedReader()
    pieces: list[bytes] = []
    for part in parts:
        if reader.is_done:
            reader.rest += part
        else:
            pieces += reader.feed(part)
    return b"".join(pieces), reader


def test_the_body_its_trailers_and_what_follows() -> None:
    body, reader = read(MESSAGE)
    assert body == b"hello world"
    assert reader.is_done
    assert reader.trailers == [(b"x-sum", b"1")]
    assert reader.rest == b"GET /next"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_it_does_not_matter_how_the_bytes_are_cut(size: int) -> None:
    parts = [MESSAGE[i : i + size] for i in range(0, len(MESSAGE), size)]
    body, reader = read(*parts)
    assert (body, reader.rest) == (b"hello world", b"GET /next")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n", b"g\r\n", b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5\rhello\r\n", b"5\r\nhelloX\r\n",
        b"5\r\nhello\n", b"5\r\nhello\rX", b"5;a\nb\r\nhello\r\n", b"5;\x00\r\n", b"0\r\nX: 1\n\r\n",
        b"0\r\nX : 1\r\n\r\n", b"0\r\n X: 1\r\n\r\n", b"0\r\nX: a\x00\r\n\r\n", b"0\r\nX\r\n\r\n",
        b"5_0\r\n", b"1" * 16 + b"\r\n", b"\x00\r\n", b"5\r\nhello0\r\n\r\n", b"\n",
    ],
)  # fmt: skip
def test_bad_framing_is_400(data: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        read(data)
    assert caught.value.status == 400


def test_extensions_are_bounded() -> None:
    with pytest.raises(HttpError):
        read(b"5;" + b"a" * MAX_CHUNK_LINE)


def test_trailers_are_bounded_in_bytes_and_number() -> None:
    with pytest.raises(HttpError) as caught:
        read(b"0\r\nX: " + b"a" * MAX_TRAILER_BYTES)
    assert caught.value.status == 431
    with pytest.raises(HttpError):
        read(b"0\r\n" + b"X: a\r\n" * (MAX_TRAILERS + 1) + b"\r\n")
