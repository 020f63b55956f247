"""Fields of HTTP/3: QPACK without a dynamic table (RFC 9204), and what a message may say (RFC 9114 §4).

No table means no state that a client can fill, no stream that waits for another one, and no
acknowledgement for every head; a field's line depends on nothing else, so that lines are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import pylsqpack

from quantum.http.headers import Field
from quantum.wire.h1.head import SECRET_FIELDS

KNOWN_LINES = 2048
"""Encoded fields that are remembered for all connections; Date alone makes a new one each second."""
KNOWN_HEADS = 1024
KNOWN_HEAD_BYTES = 512
"""Heads of requests that are remembered for all connections, and the longest: half a mebibyte, and their fields."""
KNOWN_NAMES = 1024
"""Field names that were checked already."""
KNOWN_NAME_BYTES = 256
"""What is longer is checked each time: a table of such would be a client's memory in us."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z")
_CONNECTION_SPECIFIC = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_PLAIN = frozenset({b":method", b":scheme", b":path"})
_TUNNEL = _PLAIN | {b":protocol", b":authority"}
_CONNECT = frozenset({b":method", b":authority"})


class MalformedMessage(Exception):
    """A message that breaks its rules: the stream ends with H3_MESSAGE_ERROR (RFC 9114 §4.1.2)."""


class Encoder:
    """Writes field sections; one for all connections of a process."""

    def __init__(self) -> None:
        self._qpack = pylsqpack.Encoder()
        self._lines: dict[Field, bytes] = {}

    def encode(self, fields: Iterable[Field]) -> bytes:
        """Return the section of ``fields``, names in lower case."""
        lines = self._lines
        parts = [b"\0\0"]  # no insertion is required, and the base does not matter
        for field in fields:
            line = lines.get(field)
            parts.append(self._encode_line(field) if line is None else line)
        return b"".join(parts)

    def _encode_line(self, field: Field) -> bytes:
        if len(self._lines) >= KNOWN_LINES:
            self._lines.clear()
        section: bytes = self._qpack.encode(0, [field])[1]
        line = self._lines[field] = section[2:]
        return line


class Decoder(Protocol):
    """A QPACK decoder of one connection."""

    def feed_header(self, stream_id: int, data: bytes) -> tuple[bytes, list[Field]]:
        """Return what to say on the decoder stream, and the fields."""


class _Names(dict[bytes, bool]):
    """Whether a plain field of that name may be in a message."""

    def __missing__(self, name: bytes) -> bool:
        allowed = _NAME.match(name) is not None and name not in _CONNECTION_SPECIFIC
        if len(name) <= KNOWN_NAME_BYTES:
            if len(self) >= KNOWN_NAMES:
                self.clear()
            self[name] = allowed
        return allowed


_names = _Names()


_heads: dict[bytes, tuple[list[Field], int | None]] = {}


def read_head(decoder: Decoder, stream_id: int, section: bytes) -> tuple[list[Field], int | None]:
    """Return the fields of a request's head, not to be changed, and its content-length; as ``check_request``.

    Without a table a section means the same each time: a client asks with the same head again and again.
    Heads with secrets are told apart anew each time, and so are queries, which may hold some.
    """
    known = _heads.get(section)
    if known is None:
        fields = decoder.feed_header(stream_id, section)[1]
        known = fields, check_request(fields)
        if len(section) <= KNOWN_HEAD_BYTES and not any(map(_is_secret, fields)):
            if len(_heads) >= KNOWN_HEADS:
                _heads.clear()
            _heads[section] = known
    return known


def _is_secret(field: Field) -> bool:
    return field[0] in SECRET_FIELDS or (field[0] == b":path" and b"?" in field[1])


def check_request(fields: list[Field]) -> int | None:
    """Return the content-length of a request's head; MalformedMessage when it is none."""
    pseudo: dict[bytes, bytes] = {}
    position = 0
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _PSEUDO or name in pseudo:
            raise MalformedMessage(f"pseudo field {name!r}")
        pseudo[name] = value
        position += 1
    _check_pseudo(pseudo)
    return _check_plain(fields[position:])


def check_trailers(fields: list[Field]) -> None:
    """Raise MalformedMessage for trailers that are none."""
    _check_plain(fields)


def _check_pseudo(pseudo: dict[bytes, bytes]) -> None:
    method = pseudo.get(b":method", b"")
    if _TOKEN.match(method) is None:
        raise MalformedMessage("no method")
    if method != b"CONNECT":
        wanted = _PLAIN
        complete = b":protocol" not in pseudo
    elif b":protocol" in pseudo:
        wanted = _TUNNEL
        complete = _TOKEN.match(pseudo[b":protocol"]) is not None
    else:
        wanted = _CONNECT
        complete = len(pseudo) == len(_CONNECT)
    if not complete or not all(pseudo.get(name) for name in wanted):
        raise MalformedMessage("pseudo fields missing, empty or out of place")
    for value in pseudo.values():
        if _BAD_VALUE.search(value) is not None:
            raise MalformedMessage("a pseudo field's value")


def _check_plain(fields: list[Field]) -> int | None:
    length: int | None = None
    for name, value in fields:
        if not _names[name]:
            raise MalformedMessage(f"field {name!r}")
        if _BAD_VALUE.search(value) is not None:
            raise MalformedMessage(f"the value of {name!r}")
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 18:
                raise MalformedMessage("content-length")
            length = int(value)
        elif name == b"te" and value.lower() != b"trailers":
            raise MalformedMessage("te")
    return length
