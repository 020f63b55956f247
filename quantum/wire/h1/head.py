"""Writing HTTP/1.1: message heads, chunks and trailers as single bytes objects (RFC 9112 §2–§7).

This is the last line before the wire, so nothing that could split a message gets past it: names are
tokens, values hold no CR, LF or NUL, whatever a handler, an upstream or HPACK delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

Field = tuple[bytes, bytes]

NAME_CACHE_SIZE = 1024
"""Spellings kept. A site uses a few dozen names; the bound keeps strangers' names from piling up."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class UnsafeField(ValueError):
    """A name, value, method or target that would break the framing of the message it stands in."""


class NamePrefixes(dict[bytes, bytes]):
    """Lower-case name -> CRLF, the name in canonical case, colon, space. Learnt on first use."""

    def __missing__(self, name: bytes) -> bytes:
        if _TOKEN.match(name) is None:
            raise UnsafeField(f"not a field name: {name[:64]!r}")
        if len(self) >= NAME_CACHE_SIZE:
            self.clear()
        prefix = self[name] = b"\r\n" + canonical(name) + b": "
        return prefix


def canonical(name: bytes) -> bytes:
    """Return a lower-case name as HTTP/1 peers expect to see it: ``content-type`` -> ``Content-Type``."""
    return b"-".join([part[:1].upper() + part[1:] for part in name.split(b"-")])


prefixes = NamePrefixes()
"""Shared by all writers: pure data, the same for everybody."""


def _status_lines() -> dict[int, bytes]:
    lines = {status.value: status.phrase for status in HTTPStatus}
    lines[499] = "Client Closed Request"
    return {code: f"HTTP/1.1 {code} {phrase}".encode() for code, phrase in lines.items()}


STATUS_LINES = _status_lines()
"""Status lines without their CRLF, for every registered status."""


def status_line(status: int) -> bytes:
    """Return the status line without CRLF; ValueError for what is no three-digit status."""
    line = STATUS_LINES.get(status)
    if line is not None:
        return line
    if not 100 <= status <= 999:
        raise ValueError(f"not a status code: {status}")
    return b"HTTP/1.1 %d " % status  # RFC 9112 §4: the reason may be absent, the space may not


def join_head(parts: list[bytes], lines: int) -> bytes:
    """Join the parts of a head of ``lines`` lines (each but the last begins with CRLF) and end it.

    Checks the result as a whole: a value with CR, LF or NUL in it raises UnsafeField.
    """
    parts.append(b"\r\n\r\n")
    head = b"".join(parts)
    lines += 1
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise UnsafeField("a field value holds CR, LF or NUL")
    return head


LINE_CACHE_SIZE = 4096
LINE_CACHE_BYTES = 256
"""Spelled lines kept, and the longest that is: a mebibyte or so that all connections share."""
SECRET_FIELDS = frozenset({
    b"authentication-info", b"authorization", b"cookie", b"location", b"proxy-authorization",
    b"set-cookie", b"www-authenticate",
})  # fmt: skip
"""Not kept: what must not stay in memory longer than its message, and differs anyway."""

UNUSUAL = b"\0"
"""The line of a field that a writer does not simply write. No other line has this byte."""


class FieldLines(dict[Field, bytes]):
    """Field -> the line it makes, CRLF first: the fields of a head are then joined without a loop.

    Most messages are made of fields that others had before. ``left_out`` are names that make no line,
    ``unusual`` those that make UNUSUAL, whereupon the writer looks at the fields one by one.
    """

    def __init__(self, left_out: frozenset[bytes], unusual: frozenset[bytes]) -> None:
        super().__init__()
        self._left_out = left_out
        self._unusual = unusual
        self.spell = self.__getitem__

    def __missing__(self, field: Field) -> bytes:
        name, value = field
        if name in self._left_out:
            line = b""
        elif name in self._unusual:
            line = UNUSUAL
        elif b"\n" in value or b"\r" in value or b"\0" in value:
            raise UnsafeField("a field value holds CR, LF or NUL")
        else:
            line = prefixes[name] + value
        if len(line) <= LINE_CACHE_BYTES and name not in SECRET_FIELDS:
            if len(self) >= LINE_CACHE_SIZE:
                self.clear()
            self[field] = line
        return line


def _encode(first_line: bytes, fields: Iterable[Field]) -> bytes:
    parts = [first_line]
    for name, value in fields:
        parts.append(prefixes[name])
        parts.append(value)
    return join_head(parts, (len(parts) + 1) // 2)


def encode_response_head(status: int, fields: Iterable[Field]) -> bytes:
    """Return a response head with exactly these fields (lower-case names), blank line included."""
    return _encode(status_line(status), fields)


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def encode_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk. It MUST NOT be empty: an empty chunk is the end of the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


FORBIDDEN_TRAILERS = frozenset({
    b"authorization", b"connection", b"content-encoding", b"content-length", b"content-range",
    b"content-type", b"cookie", b"expect", b"host", b"keep-alive", b"max-forwards", b"set-cookie",
    b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""Fields that would change framing, routing or meaning after the fact (RFC 9110 §6.5.1)."""


def encode_last_chunk(trailers: Iterable[Field] = ()) -> bytes:
    """Return the end of a chunked body; trailers that RFC 9110 §6.5.1 forbids are left out."""
    parts = [b"0"]
    for name, value in trailers:
        if name not in FORBIDDEN_TRAILERS:
            parts.append(prefixes[name])
            parts.append(value)
    return join_head(parts, (len(parts) + 1) // 2)
