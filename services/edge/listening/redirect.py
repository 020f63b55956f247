"""Plain HTTP where TLS was expected: the answer that sends the client to HTTPS (``http_redirect``)."""

from __future__ import annotations

from quantum.errors import HttpError
from quantum.wire.h1.request import parse_head

METHOD_STARTS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The first bytes of a request; a TLS record begins with another."""
_REFUSAL = (
    b"HTTP/1.1 %d \r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
)
_UNSAFE = frozenset(b'\r\n\0 \t"<>\\')


def answer_plain(data: bytes, max_head_bytes: int) -> bytes | None:
    """Return the answer to the request that begins ``data``, None while its head is not complete.

    308 to the same host, port and target under https; 400 or 431 when that cannot be told.
    """
    end = data.find(b"\r\n\r\n", 0, max_head_bytes + 4)
    if end < 0:
        return _REFUSAL % 431 if len(data) > max_head_bytes else None
    try:
        head = parse_head(data[:end])
    except HttpError as error:
        return _REFUSAL % error.status
    place = (head.authority + head.target).encode("latin-1")
    if not head.authority or head.target[:1] != "/" or _UNSAFE & set(place):
        return _REFUSAL % 400
    return (
        b"HTTP/1.1 308 Permanent Redirect\r\nConnection: close\r\nLocation: https://%b\r\n"
        b"Server: Quantum\r\nContent-Length: 0\r\n\r\n" % place
    )
