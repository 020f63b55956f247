"""What travels with a request between processes, and how it is spelled.

A hop request is a head of ``quantum.wire.mux`` whose first two fields are the hop's:

- (``method scheme authority target version id``, the lead: the deployment's token and "room revision path",
  who answers)
- (the client's connection as JSON: true addresses, scheme, TLS, server; marks: ``%`` the line is quoted,
  ``+`` rare fields follow, ``?`` only whether the handler is there is asked)

Rare fields:

- ``quantum-deadline``   seconds left (absent: none)
- ``quantum-client-ip``  when trusted proxies made it another than the peer's
- ``quantum-original``   the target before the first rewrite, as JSON
- ``quantum-vars``       variables that are JSON
- ``:protocol``          what an upgrade asks for
- ``content-length``     of a body that follows in pieces

Then come the fields of the Request. A hop response has ``:status`` first, then ``quantum-error``
("status reason") for an HttpError, ``quantum-retry`` when the room lacks the revision yet, ``quantum-status``
for 101, ``quantum-close`` for an answer that ends the connection, ``quantum-note`` for one that routes shall handle.
Fields of that prefix in a client's request, or in a handler's response, never travel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from quantum.errors import HttpError
from quantum.hop.facts import FactsCache, encode_facts
from quantum.hop.handed_back import HandedBack, Note, decode_note
from quantum.http.body import HIGH_WATER, AnyBody
from quantum.http.headers import Field, Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.wire.h1.head import SECRET_FIELDS
from quantum.wire.h2 import Fields

PREFIX = b"quantum-"
ERROR = b"quantum-error"
RETRY = b"quantum-retry"
NOTE = b"quantum-note"
PROBE = "?"
"""The mark of a request that only asks whether its handler is there."""
_QUOTED, _RARE = "%", "+"

_FORBIDDEN = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te")
)
"""Fields of one connection: they mean nothing on the next (RFC 9110 §7.6.1)."""
_TRAILERS = (b"te", b"trailers")
"""The one value of TE that travels; servers of gRPC insist on it."""
_BLANKS = frozenset((b" ", b"\t"))


class Address(NamedTuple):
    """Which handler a request is for."""

    room: str
    revision: str
    path: str

    def lead(self, token: str) -> bytes:
        """Return what a request for it begins with, in a deployment of this token."""
        return token.encode() + b" " + _text(f"{self.room} {self.revision} {self.path}")


def _text(value: str) -> bytes:
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), safe=_SAFE).encode()


def _plain(value: bytes) -> str:
    return unquote_to_bytes(value).decode("utf-8", "surrogateescape")


_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")


class _Travelling(dict[Field, Field | None]):
    """A message's field -> the field as it travels: without blanks around its value, or None."""

    def __missing__(self, field: Field) -> Field | None:
        name, value = field
        travels: Field | None = (name, value)
        if (name in _FORBIDDEN and field != _TRAILERS) or name.startswith(PREFIX):
            travels = None
        elif value[:1] in _BLANKS or value[-1:] in _BLANKS:
            travels = name, value.strip(b" \t")
        if len(name) + len(value) <= _KEPT_BYTES and name not in SECRET_FIELDS:
            if len(self) >= _KEPT_FIELDS:
                self.clear()
            self[(name, value)] = travels
        return travels


_KEPT_FIELDS = 4096
_KEPT_BYTES = 256
"""Fields that are remembered, and the longest that is: a mebibyte or so for the process."""
_travel = _Travelling().__getitem__


def _travels(fields: Iterable[Field]) -> list[Field]:
    """Return what is the message's own."""
    return list(filter(None, map(_travel, fields)))


# Requests, at the near end.


def request_fields(request: Request, lead: bytes, now: float, marks: str = "") -> list[Field]:
    """Return the head of a hop request; ``lead`` has the token and the handler, ``now`` is loop time."""
    parts = (
        request.method, request.scheme, request.authority, request.target, request.version, request.id,
    )  # fmt: skip
    line = " ".join(parts)
    if not line.isascii() or not line.isprintable() or line.count(" ") != len(parts) - 1:
        line = b" ".join(map(_text, parts)).decode()
        marks += _QUOTED
    facts, body = request.connection, request.body
    rare: list[Field] = []
    if not is_usual(request) or _follows(body):
        rare = _rare_fields(request, now)
        marks += _RARE
    return [
        (line.encode(), lead),
        (facts.encoded or _encoded_facts(facts), marks.encode()),
        *rare,
        *_travels(request.headers.fields),
    ]


def is_usual(request: Request) -> bool:
    """Whether a request has none of what travels rarely, but for its body."""
    return (
        request.deadline is None
        and request.original is None
        and request.upgrade is None
        and not request.has_vars
        and request.client_ip == request.connection.peer[0]
    )


def _add_length(fields: list[Field], headers: Headers, body: AnyBody) -> None:
    """Say how long a body is that follows in pieces: its codec took the field, the far end wants to know."""
    length = len(body) if isinstance(body, bytes) else body.length
    if _follows(body) and length is not None and b"content-length" not in headers:
        fields.append((b"content-length", b"%d" % length))


def _follows(body: AnyBody) -> bool:
    """Whether a body comes in pieces behind its head: one that is pulled, or too long to go with it."""
    return not isinstance(body, bytes) or len(body) > HIGH_WATER


def _rare_fields(request: Request, now: float) -> list[Field]:
    fields: list[Field] = []
    if request.deadline is not None:
        left = max(0.0, request.deadline - now)
        fields.append((b"quantum-deadline", b"%.3f" % left))
    if request.client_ip != request.connection.peer[0]:
        fields.append((b"quantum-client-ip", request.client_ip.encode()))
    if request.original is not None:
        fields.append((b"quantum-original", json.dumps(request.original).encode()))
    if request.has_vars:
        fields.append((b"quantum-vars", _json_part(request.vars)))
    if request.upgrade is not None:
        fields.append((b":protocol", request.upgrade.encode()))
    _add_length(fields, request.headers, request.body)
    return fields


def _json_part(variables: dict[str, Any]) -> bytes:
    """Return the variables that JSON can carry; the others stay at home."""
    kept = {k: v for k, v in variables.items() if _is_json(v)}
    return json.dumps(kept, separators=(",", ":")).encode()


def _is_json(value: Any) -> bool:
    if value is None or isinstance(value, (str, bool, int, float)):
        return True
    if isinstance(value, list):
        return all(_is_json(v) for v in value)
    return isinstance(value, dict) and all(
        isinstance(k, str) and _is_json(v) for k, v in value.items()
    )


def _encoded_facts(facts: ConnectionFacts) -> bytes:
    encoded = facts.encoded = encode_facts(facts)
    return encoded


# Requests, at the far end.


def split_fields(fields: Fields) -> tuple[dict[bytes, bytes], list[Field]]:
    """Part fields into the hop's with the pseudo fields, which come first, and the message's own."""
    envelope: dict[bytes, bytes] = {}
    for index, (name, value) in enumerate(fields):
        if not name.startswith((PREFIX, b":")):
            return envelope, list(fields[index:])
        envelope[name] = value
    return envelope, []


def lead_of(fields: Fields) -> bytes:
    """Return what a head says of the deployment and the handler; nothing where it is none of the hop's."""
    return fields[0][1] if len(fields) > 1 else b""


def is_probe(fields: Fields) -> bool:
    """Whether only the handler's presence is asked for."""
    return b"?" in fields[1][1]


def open_request(fields: Fields, body: AnyBody, facts: FactsCache, now: float) -> Request:
    """Return the request as the near end had it; HttpError 400 for an envelope that is none."""
    try:
        encoded, marks = fields[1]
        parts = fields[0][0].decode().split(" ")
        own = list(fields[2:])
        envelope: dict[bytes, bytes] = {}
        if marks:
            if b"%" in marks:
                parts = [_plain(part.encode()) for part in parts]
            if b"+" in marks:
                envelope, own = split_fields(own)
                own = [f for f in own if f[0] != b"content-length"]  # the body's to say
        method, scheme, authority, target, version, request_id = parts
        path, mark, query = target.partition("?")
        request = Request(
            method, scheme, authority, path, query if mark else None, Headers(own), body,
            facts.get(encoded), version, now,
        )  # fmt: skip
        request.id = request_id
        if envelope:
            _open_rare(request, envelope, now)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise HttpError(400, f"not an envelope of the hop: {error!r}") from error
    return request


def _open_rare(request: Request, envelope: dict[bytes, bytes], now: float) -> None:
    get = envelope.get
    if (protocol := get(b":protocol")) is not None:
        request.upgrade = protocol.decode()
    if (left := get(b"quantum-deadline")) is not None:
        request.deadline = now + float(left)
    if (client_ip := get(b"quantum-client-ip")) is not None:
        request.client_ip = client_ip.decode()
    if (original := get(b"quantum-original")) is not None:
        former, path, query = json.loads(original)
        request.original = (former, path, query)
    if (variables := get(b"quantum-vars")) is not None:
        request.vars.update(json.loads(variables))


def parse_lead(lead: bytes) -> tuple[bytes, Address]:
    """Return the token and the handler that a lead names; HttpError 400 when it names none."""
    token, _, handler = lead.partition(b" ")
    parts = _plain(handler).split(" ", 2)
    if len(parts) != 3:
        raise HttpError(400, "no handler is named")
    return token, Address(*parts)


# Responses.

_STATUS = {code: b"%d" % code for code in range(100, 600)}


def response_fields(response: Response) -> list[Field]:
    """Return the head of a hop response."""
    status = response.status
    lead: list[Field] = [(b":status", _STATUS.get(status) or b"%d" % status)]
    if response.upgrade is not None:
        lead = [(b":status", b"200"), (b"quantum-status", b"101")]
    if response.close:
        lead.append((b"quantum-close", b"1"))
    if isinstance(response, HandedBack):
        lead.append((NOTE, _text(response.note.encode().decode())))
    fields = lead + _travels(response.headers.fields)
    _add_length(fields, response.headers, response.body)
    return fields


def error_fields(error: HttpError, *, retry: bool = False) -> list[Field]:
    """Return the head that carries an HttpError; ``retry``: the room lacks the revision yet."""
    lead: list[Field] = [
        (b":status", _STATUS.get(error.status, b"500")),
        (ERROR, _text(f"{error.status} {error.reason}"[:2048].rstrip())),
    ]
    if retry:
        lead.append((RETRY, b"1"))
    return lead + _travels(error.headers)


class OpenedHead(NamedTuple):
    """A response head at the near end."""

    status: int
    headers: Headers
    is_closing: bool = False
    note: Note | None = None


def open_response(fields: Fields) -> OpenedHead:
    """Return a response's head; raises the HttpError that it carries, RevisionLacking to try again."""
    if len(fields) < 2 or not fields[1][0].startswith(PREFIX):
        return OpenedHead(int(fields[0][1]), Headers(list(fields[1:])))
    envelope, own = split_fields(fields)
    if (error := envelope.get(ERROR)) is not None:
        if RETRY in envelope:
            raise RevisionLackingError
        code, _, reason = _plain(error).partition(" ")
        raise HttpError(int(code), reason, tuple(own))
    status = envelope.get(b"quantum-status") or envelope[b":status"]
    note = envelope.get(NOTE)
    return OpenedHead(
        int(status),
        Headers(own),
        b"quantum-close" in envelope,
        None if note is None else decode_note(unquote_to_bytes(note)),
    )


class RevisionLackingError(HttpError):
    """The far room does not hold the revision yet."""

    def __init__(self) -> None:
        super().__init__(503, "the room lacks the revision", ((b"retry-after", b"1"),))
