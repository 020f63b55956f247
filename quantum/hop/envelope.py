"""What travels with a request between processes, and how it is spelled.

A hop request is an HTTP/2 request with the fields of the Request, and before them the hop's own:

- ``quantum-token``      the deployment's secret
- ``quantum-handler``    "room revision path": who answers
- ``quantum-request-id`` follows the request through every log
- ``quantum-facts``      the client's connection as JSON: true addresses, scheme, TLS, server
- ``quantum-deadline``   seconds left (absent: none)
- ``quantum-client-ip``  when trusted proxies made it another than the peer's
- ``quantum-version``    when it is not HTTP/1.1
- ``quantum-method``     of an upgrade, and of the methods HTTP/2 gives another meaning
- ``quantum-target``     a target that ``:path`` cannot carry
- ``quantum-original``   the target before the first rewrite, as JSON
- ``quantum-vars``       variables that are JSON

A hop response has ``quantum-error`` ("status reason") for an HttpError, ``quantum-retry`` when the
room lacks the revision yet, ``quantum-status`` for 101, ``quantum-close`` for an answer that ends the connection,
``quantum-note`` for one that routes shall handle.
Fields of that prefix in a client's request, or in a handler's response, never travel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from quantum.errors import HttpError
from quantum.hop.facts import FactsCache, encode_facts
from quantum.hop.handed_back import HandedBack, Note, decode_note
from quantum.http.body import AnyBody
from quantum.http.headers import Field, Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.wire.h1.head import SECRET_FIELDS
from quantum.wire.h2 import Fields, never_indexed

PREFIX = b"quantum-"
TOKEN = b"quantum-token"
HANDLER = b"quantum-handler"
ERROR = b"quantum-error"
RETRY = b"quantum-retry"
PROBE = b"quantum-probe"
NOTE = b"quantum-note"
_ID = b"quantum-request-id"

_FORBIDDEN = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te")
)
"""Fields of one connection: HTTP/2 refuses a message with them (RFC 9113 §8.2.2)."""
_TRAILERS = (b"te", b"trailers")
"""The one value of TE that HTTP/2 allows; servers of gRPC insist on it."""
_BLANKS = frozenset((b" ", b"\t"))
_PLAIN_TARGET = re.compile(r"/[!-~]*")
_PLAIN_AUTHORITY = re.compile(r"[!-~]*")
_PLAIN_METHOD = re.compile(r"[A-Z]+")


class Address(NamedTuple):
    """Which handler a request is for."""

    room: str
    revision: str
    path: str

    def field(self) -> Field:
        """Return its field."""
        return (HANDLER, _text(f"{self.room} {self.revision} {self.path}"))


def _text(value: str) -> bytes:
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), safe=_SAFE).encode()


def _plain(value: bytes) -> str:
    return unquote_to_bytes(value).decode("utf-8", "surrogateescape")


_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")


class _Travelling(dict[Field, Field | None]):
    """A message's field -> the field as it travels: without the blanks that HTTP/2 refuses, or None."""

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


_SCHEMES = {name: (b":scheme", name.encode()) for name in ("http", "https")}


def request_fields(request: Request, lead: list[Field], now: float) -> list[Field]:
    """Return the head of a hop request; ``lead`` has the token and the handler, ``now`` loop time."""
    method, target, authority, facts = (
        request.method, request.target, request.authority, request.connection,
    )  # fmt: skip
    is_target_plain = target == "/" or _PLAIN_TARGET.fullmatch(target) is not None
    fields: list[Field] = [
        _METHODS.get(method) or _method(method),
        _SCHEMES.get(request.scheme) or (b":scheme", request.scheme.encode()),
        (b":authority", authority.encode() if _PLAIN_AUTHORITY.fullmatch(authority) else b""),
        (b":path", target.encode() if is_target_plain else b"/"),
        *lead,
        (b"quantum-facts", facts.encoded or _encoded_facts(facts)),
        never_indexed(_ID, request.id.encode()),
    ]
    if request.upgrade is not None:
        fields[0] = (b":method", b"CONNECT")
        fields.insert(1, (b":protocol", request.upgrade.encode()))
    if request.upgrade is not None or fields[0][1] != method.encode():
        fields.append((b"quantum-method", _text(method)))
    if not is_target_plain:
        fields.append((b"quantum-target", _text(target)))
    if request.client_ip is not facts.peer[0] or not is_usual(request):
        _add_rare(fields, request, now)
    fields += _travels(request.headers.fields)
    body = request.body
    if body.__class__ is not bytes:
        _add_length(fields, request.headers, body)
    return fields


def is_usual(request: Request) -> bool:
    """Whether a request has none of what travels rarely."""
    return (
        request.deadline is None
        and request.original is None
        and request.version == "HTTP/1.1"
        and not request.has_vars
    )


def _method(method: str) -> Field:
    is_plain = _PLAIN_METHOD.fullmatch(method) is not None and method != "CONNECT"
    return b":method", method.encode() if is_plain else b"POST"


_METHODS = {name: _method(name) for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")}


def _add_length(fields: list[Field], headers: Headers, body: AnyBody) -> None:
    """Say how long a pulled body is: its codec took the field, the far end wants to know."""
    if not isinstance(body, bytes) and body.length is not None and b"content-length" not in headers:
        fields.append((b"content-length", b"%d" % body.length))


def _add_rare(fields: list[Field], request: Request, now: float) -> None:
    if request.deadline is not None:
        left = max(0.0, request.deadline - now)
        fields.append(never_indexed(b"quantum-deadline", b"%.3f" % left))
    if request.client_ip != request.connection.peer[0]:
        fields.append((b"quantum-client-ip", request.client_ip.encode()))
    if request.version != "HTTP/1.1":
        fields.append((b"quantum-version", request.version.encode()))
    if request.original is not None:
        fields.append((b"quantum-original", json.dumps(request.original).encode()))
    if request.has_vars:
        fields.append((b"quantum-vars", _json_part(request.vars)))


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
    """Part a head into the hop's fields with the pseudo fields, and the message's own."""
    count = _COMMON_FIELDS
    if len(fields) >= count and fields[count - 1][0] == _ID:
        if len(fields) == count:
            return dict(fields), []
        if not fields[count][0].startswith(PREFIX):
            return dict(fields[:count]), list(fields[count:])
    envelope: dict[bytes, bytes] = {}
    for index, (name, value) in enumerate(fields):
        if not name.startswith((PREFIX, b":")):
            return envelope, list(fields[index:])
        envelope[name] = value
    return envelope, []


def open_request(
    envelope: dict[bytes, bytes], fields: list[Field], body: AnyBody, facts: FactsCache, now: float
) -> Request:
    """Return the request as the near end had it; HttpError 400 for an envelope that is none."""
    try:
        path, mark, query = envelope[b":path"].decode().partition("?")
        request = Request(
            envelope[b":method"].decode(),
            envelope[b":scheme"].decode(),
            envelope.get(b":authority", b"").decode(),
            path,
            query if mark else None,
            # The length is the body's to say.
            Headers([f for f in fields if f[0] != b"content-length"] if fields else None),
            body,
            facts.get(envelope[b"quantum-facts"]),
            "HTTP/1.1",
            now,
        )
        request.id = envelope[_ID].decode()
        if len(envelope) > _COMMON_FIELDS:
            _open_rare(request, envelope, now)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise HttpError(400, f"not an envelope of the hop: {error!r}") from error
    return request


_COMMON_FIELDS = 8
"""Four pseudo fields, token, handler, facts, id: what every request has."""


def _open_rare(request: Request, envelope: dict[bytes, bytes], now: float) -> None:
    get = envelope.get
    if (method := get(b"quantum-method")) is not None:
        request.method = _plain(method)
    if (target := get(b"quantum-target")) is not None:
        path, mark, query = _plain(target).partition("?")
        request.path, request.query = path, query if mark else None
    if (protocol := get(b":protocol")) is not None:
        request.upgrade = protocol.decode()
    if (left := get(b"quantum-deadline")) is not None:
        request.deadline = now + float(left)
    if (client_ip := get(b"quantum-client-ip")) is not None:
        request.client_ip = client_ip.decode()
    if (version := get(b"quantum-version")) is not None:
        request.version = version.decode()
    if (original := get(b"quantum-original")) is not None:
        former, path, query = json.loads(original)
        request.original = (former, path, query)
    if (variables := get(b"quantum-vars")) is not None:
        request.vars.update(json.loads(variables))


def parse_address(value: bytes) -> Address:
    """Return the handler that a field names; HttpError 400 when it names none."""
    parts = _plain(value).split(" ", 2)
    if len(parts) != 3:
        raise HttpError(400, "no handler is named")
    return Address(*parts)


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
    body = response.body
    if body.__class__ is not bytes:
        _add_length(fields, response.headers, body)
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
