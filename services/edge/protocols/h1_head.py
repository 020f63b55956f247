"""The head of an HTTP/1.1 response: its fields, and how its body is framed (RFC 9112 §6)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate

from quantum.http.headers import Field
from quantum.http.message import Response
from quantum.wire.h1.head import (
    STATUS_LINES,
    UNUSUAL,
    FieldLines,
    NamePrefixes,
    join_head,
    prefixes,
    status_line,
)

SERVER = b"\r\nServer: Quantum"
_CHUNKED = b"\r\nTransfer-Encoding: chunked"
_CLOSE = b"\r\nConnection: close"
_KEEP_ALIVE = b"\r\nConnection: keep-alive"

_DECIDED_HERE = (
    b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"transfer-encoding",
    b"upgrade",
)  # fmt: skip
_STAMPS = (b"alt-svc", b"date", b"server", b"via")
"""Fields that stand where ours would. An answer with Via speaks for its origin: ``Server`` would name
the wrong one (Caddy's rule)."""


class ResponsePrefixes(NamePrefixes):
    """Name prefixes in which those that the codec decides itself are empty: one look-up tells."""

    def __missing__(self, name: bytes) -> bytes:
        if name in _DECIDED_HERE or name in _STAMPS:
            self[name] = b""
            return b""
        return super().__missing__(name)


_prefixes = ResponsePrefixes()


_spell = FieldLines(
    frozenset({b"content-length"}), frozenset(_DECIDED_HERE) - {b"content-length"}
).spell


class Stamps:
    """The lines Server and Date, made once a second for all responses of a process.

    An entrypoint that speaks HTTP/3 too has stamps of its own, which say so: ``alternative`` is the
    value of Alt-Svc, or nothing.
    """

    __slots__ = ("alt_svc", "alternative", "both", "date", "heads", "last_answer", "last_bytes")

    def __init__(self, alternative: bytes = b"") -> None:
        self.both = self.date = self.last_bytes = b""
        self.alternative = alternative
        self.alt_svc = b"\r\nAlt-Svc: " + alternative if alternative else b""
        self.last_answer: Response | None = None
        self.heads: dict[bool, tuple[Response, Sequence[Field]]] = {}
        """The answer that went out last with the fields of its head, by whether it was HTTP/3."""
        self.refresh()

    def refresh(self) -> None:
        """Take the current second; called by the ticker of the entrypoints."""
        now = time.time()  # noqa: TID251 - the Date field is the wall clock's, whatever a test's says
        self.date = b"\r\nDate: " + formatdate(now, usegmt=True).encode()
        self.both = SERVER + self.date + self.alt_svc
        self.last_answer = None
        self.heads.clear()


def encode_plain(response: Response, body: bytes, stamps: Stamps) -> bytes | None:
    """Return the whole answer in the usual case, None when ``encode_head`` has to decide something.

    The usual case: to a plain request, a status with a body, of which all is here, and the
    connection stays. An answer that is the same object as the last one has the same bytes: shared
    responses MUST NOT be changed (``quantum.http.message``).
    """
    if response is stamps.last_answer:
        return stamps.last_bytes
    status = response.status
    if status < 200 or status in {204, 304}:
        return None
    lines = b"".join(map(_spell, response.headers.fields))
    if UNUSUAL in lines:
        return None
    stamp = stamps.both
    if b"\r\nDate: " in lines:  # an upstream's own: it stands where ours would
        stamp = stamp.replace(stamps.date, b"")
    if b"\r\nVia: " in lines or b"\r\nServer: " in lines:
        stamp = stamp.replace(SERVER, b"")
    if stamps.alt_svc and b"\r\nAlt-Svc: " in lines:
        stamp = stamp.replace(stamps.alt_svc, b"")
    data = b"".join((
        STATUS_LINES.get(status) or status_line(status),
        lines,
        b"\r\nContent-Length: %d" % len(body),  # whoever gives bytes has told their number
        stamp,
        b"\r\n\r\n",
        body,
    ))  # fmt: skip
    stamps.last_answer, stamps.last_bytes = response, data
    return data


class Framing:
    """How one response is framed: decided from the request and the response, before the first byte."""

    __slots__ = ("chunked", "close", "length", "sends_body")

    def __init__(self, *, sends_body: bool, close: bool) -> None:
        self.sends_body = sends_body
        self.close = close
        self.chunked = False
        self.length: int | None = None


def allows_body(status: int) -> bool:
    """Whether a response of that status has a body at all (RFC 9110 §6.4.1)."""
    return status >= 200 and status not in {204, 304}


def encode_head(
    response: Response, stamps: Stamps, *, is_head: bool, http_1_0: bool, close: bool
) -> tuple[bytes, Framing]:
    """Return the head with its blank line, and the framing that its body must follow.

    Raises UnsafeField for fields that would break the framing; nothing may then be sent of it.
    """
    parts = [status_line(response.status)]
    lines, stamp, declared = 1, stamps.both, None
    for name, value in response.headers.fields:
        prefix = _prefixes[name]
        if prefix:
            lines += 1
            parts.append(prefix)
            parts.append(value)
        elif name in _STAMPS:
            lines += 1
            parts.append(prefixes[name])
            parts.append(value)
            stamp = _without(stamp, name, stamps)
        elif name == b"content-length":
            declared = value
        elif name == b"connection" and b"close" in value.lower():
            close = True
    framing = Framing(sends_body=not is_head and allows_body(response.status), close=close)
    lines += _frame(response, framing, parts, declared, is_head=is_head, http_1_0=http_1_0)
    if framing.close:
        lines += 1
        parts.append(_CLOSE)
    elif http_1_0:
        lines += 1
        parts.append(_KEEP_ALIVE)
    parts.append(stamp)
    return join_head(parts, lines + stamp.count(b"\n")), framing


def _without(stamp: bytes, name: bytes, stamps: Stamps) -> bytes:
    """Return the lines that the codec adds when the answer brought one of them itself."""
    line = stamps.date if name == b"date" else stamps.alt_svc if name == b"alt-svc" else SERVER
    return stamp.replace(line, b"") if line else stamp


def _frame(
    response: Response,
    framing: Framing,
    parts: list[bytes],
    declared: bytes | None,
    *,
    is_head: bool,
    http_1_0: bool,
) -> int:
    """Add the field that frames the body, if any; return the number of lines added."""
    if not allows_body(response.status):
        return 0
    body = response.body
    if body.__class__ is bytes:
        length: int | None = len(body)
        if is_head and not body:
            length = None
    else:
        length = body.length  # type: ignore[union-attr]
    if length is None and declared is not None and declared.isdigit():
        length = int(declared)
    framing.length = length
    if length is not None:
        parts.append(b"\r\nContent-Length: %d" % length)
        return 1
    if is_head:
        return 0
    if http_1_0:
        framing.close = True  # the end of the connection is the end of the body
        return 0
    framing.chunked = True
    parts.append(_CHUNKED)
    return 1


def encode_switch(response: Response, protocol: str, accept: bytes, stamps: Stamps) -> bytes:
    """Return the head of a 101 that switches to ``protocol``; ``accept`` is for WebSocket."""
    parts = [status_line(101), b"\r\nConnection: Upgrade\r\nUpgrade: ", protocol.encode()]
    lines = 3
    if accept:
        parts += (b"\r\nSec-Websocket-Accept: ", accept)
        lines += 1
    for name, value in response.headers.fields:
        prefix = _prefixes[name]
        if prefix and name != b"sec-websocket-accept":
            lines += 1
            parts += (prefix, value)
    parts.append(stamps.both)
    return join_head(parts, lines + stamps.both.count(b"\n"))
