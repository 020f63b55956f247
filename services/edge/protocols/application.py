"""Heads of HTTP/2 and HTTP/3 as messages, for clients: what both versions share (RFC 9113 §8.3).

HTTP/1.1 has its own reader; what a client may say is the same. The codec has checked the form of
fields already (characters, pseudo fields, connection-specific fields); here is what the edge asks
beyond that: one Host, a target that hides nothing, few fields, no names that backends confuse.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import quote_from_bytes

from quantum.connection.h2_server import Handle
from quantum.errors import HttpError
from quantum.http.body import AnyBody, Body, StreamBody
from quantum.http.headers import Field, Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.http.target import check_path
from quantum.wire.h2 import Fields
from services.edge.protocols.h1_head import allows_body
from services.edge.protocols.host import Exchange, Host, Site

MAX_FIELDS = 100
"""Fields of one request, cookie crumbs counted one by one: as for HTTP/1.1, and as Envoy's edge."""
MAX_HEAD_BYTES = 64 * 1024
"""Names and values of one request with FIELD_OVERHEAD each, whatever ``max_header_bytes`` allows: a
hundred streams of a connection may hold one at the same time (CVE-2026-47774)."""
FIELD_OVERHEAD = 32
"""What one field costs beside its text (RFC 9113 §6.5.2)."""
HEAVY_HEAD_BYTES = 4 * 1024
"""A head from which on it matters how many of them a connection holds at the same time."""
HEAVY_HEADS_BYTES = 1024 * 1024
"""All of them together: HPACK makes each of a byte or two a field, and an answer that the client does
not take keeps its request (CVE-2026-47774)."""
MAX_TARGET_BYTES = 8 * 1024

KNOWN_NAMES, KNOWN_AUTHORITIES, KNOWN_TARGETS = 1024, 1024, 1024
"""What was checked once is remembered: names of fields, hosts, targets. A full table begins anew."""
KNOWN_BYTES = 256
"""What is longer is checked each time: a table of such would be a client's memory in us."""

HTTP_3 = "HTTP/3.0"

_DATE_VALUE = len(b"\r\nDate: ")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f#]")
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.%]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?\Z")
_UNSAFE = re.compile(rb"[\r\n\0]")
_BY_BODY = frozenset({b"content-length"})
"""What the body says itself, as after the other codecs."""
_NOT_SENT = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_INSTEAD_OF_SERVER = frozenset({b"server", b"via"})
"""An answer with Via speaks for its origin: our Server would name the wrong one (Caddy's rule)."""
_STATUS = {code: b"%d" % code for code in range(100, 600)}


class EdgeApplication:
    """The H2Application of one client connection, HTTP/2 or HTTP/3."""

    def __init__(self, host: Host, facts: ConnectionFacts, version: str) -> None:
        """``version`` as in placeholders: HTTP/2.0, HTTP/3.0."""
        self._host = host
        self._facts = facts
        self._version = version
        self._is_http_3 = version == HTTP_3
        self._loop = asyncio.get_running_loop()
        self._heavy: dict[Request, int] = {}

    # Requests.

    def accept(self, fields: Fields, body: AnyBody) -> tuple[Request, Handle]:
        """Return the request and the current site's way to handle it; HttpError when refused."""
        site = self._host.site
        size = _check_size(fields, min(MAX_HEAD_BYTES, site.limits.max_head_bytes))
        pseudo, own, cookies, odd, expects = _sort(fields)
        if cookies:
            own.append((b"cookie", cookies[0] if len(cookies) == 1 else b"; ".join(cookies)))
        method, upgrade = pseudo[b":method"].decode(), None
        if method == "CONNECT":
            protocol = pseudo.get(b":protocol")
            if protocol is None:
                raise HttpError(405, "CONNECT makes no sense here: this is no forward proxy")
            method, upgrade = "GET", protocol.decode()
        path, query = _split_target(pseudo[b":path"], method)
        tls = self._facts.tls
        if tls is not None and tls.early:
            own.append((b"early-data", b"1"))  # RFC 8470 §5.1: who is asked decides about replays
        request = Request(
            method,
            self._facts.scheme,
            _authority(pseudo),
            path,
            query,
            Headers(own),
            body,
            self._facts,
            self._version,
            self._loop.time(),
            upgrade,
        )
        if odd:
            request.odd = odd
        if size > HEAVY_HEAD_BYTES:
            self._hold(request, size)
        return request, partial(_invite, site) if expects else site.answer

    def _hold(self, request: Request, size: int) -> None:
        if sum(self._heavy.values()) + size > HEAVY_HEADS_BYTES:
            self._host.reached("heads_of_connection")
            raise HttpError(503, "too many large requests of one connection at the same time")
        self._heavy[request] = size

    # Responses.

    def head(self, request: Request | None, response: Response) -> Fields:
        """Return the fields of a response; HttpError 500 for one that could not be sent safely."""
        if request is None or request.upgrade is not None or request.method == "HEAD":
            return self._fields(request, response)
        stamps = self._host.stamps
        known = stamps.heads.get(self._is_http_3)
        if known is not None and known[0] is response:
            return known[1]
        fields = self._fields(request, response)
        if response.body.__class__ is bytes and response.upgrade is None:
            stamps.heads[self._is_http_3] = response, fields
        return fields

    def _fields(self, request: Request | None, response: Response) -> Fields:
        status = response.status
        if response.upgrade is not None:
            status = 200
        elif request is not None and request.upgrade is not None and 200 <= status < 300:
            status = 501  # to an extended CONNECT a 2xx would say that the tunnel is open
        fields: list[Field] = [(b":status", _STATUS.get(status) or b"%d" % status)]
        has_length = has_date = has_server = False
        for field in response.headers.fields:
            name, value = field
            if name in _NOT_SENT:
                continue
            if _UNSAFE.search(value) is not None:
                raise HttpError(500, f"line break in the response field {name!r}")
            has_length |= name == b"content-length"
            has_date |= name == b"date"
            has_server |= name in _INSTEAD_OF_SERVER
            fields.append(field)
        if not has_length and allows_body(status) and response.upgrade is None:
            length = _length(request, response)
            if length is not None:
                fields.append((b"content-length", b"%d" % length))
        if not has_server:
            fields.append((b"server", b"Quantum"))
        stamps = self._host.stamps
        if not has_date:
            fields.append((b"date", stamps.date[_DATE_VALUE:]))
        if stamps.alternative and not self._is_http_3 and not response.headers.get(b"alt-svc"):
            fields.append((b"alt-svc", stamps.alternative))
        return fields

    def failed(self, request: Request | None, error: HttpError) -> Response:
        """Answer a request that was refused before its site saw it, or broke after."""
        return Response(error.status, Headers(list(error.headers)))

    def ended(self, request: Request | None, response: Response | None, sent: int) -> None:
        """Tell the site of the exchange."""
        if self._heavy and request is not None:
            self._heavy.pop(request, None)
        ended = self._host.site.ended
        if ended is not None and request is not None:
            status = 499 if response is None else response.status
            seconds = self._loop.time() - request.started
            ended(Exchange(request, response, status, sent, seconds))


async def _invite(site: Site, request: Request) -> Response:
    """Answer a request whose client waits to be asked for the body (RFC 9110 §10.1.1)."""
    if request.informational is not None and not isinstance(request.body, bytes):
        request.body = InvitedBody(request.body, request.informational)
    return await site.answer(request)


class InvitedBody:
    """A Body that tells its client to go on when it is pulled for the first time (RFC 9110 §10.1.1).

    A request that is answered without its body leaves the client with it, as over HTTP/1.1; one whose
    client did not wait is not asked.
    """

    __slots__ = ("_body", "_invite", "length", "trailers")

    def __init__(self, body: Body, invite: Callable[[int, Headers], None]) -> None:
        """``invite`` sends an informational response."""
        self.length = body.length
        self.trailers: Headers | None = None
        self._body = body
        self._invite: Callable[[int, Headers], None] | None = invite

    def __aiter__(self) -> InvitedBody:
        return self

    async def __anext__(self) -> bytes:
        invite, self._invite = self._invite, None
        if invite is not None and not (isinstance(self._body, StreamBody) and self._body.received):
            invite(100, Headers())
        try:
            return await self._body.__anext__()
        except StopAsyncIteration:
            self.trailers = self._body.trailers
            raise

    async def aclose(self) -> None:
        """Give up what is left."""
        await self._body.aclose()


def _check_size(fields: Fields, limit: int) -> int:
    count = len(fields)
    if count > MAX_FIELDS:
        raise HttpError(431, f"more than {MAX_FIELDS} header fields")
    size = count * FIELD_OVERHEAD
    for name, value in fields:
        size += len(name) + len(value)
    if size > limit:
        raise HttpError(431, f"head exceeds {limit} bytes")
    return size


_PLAIN, _PSEUDO, _COOKIE, _HOST, _EXPECT, _ODD, _LEFT_OUT = range(7)
_KINDS = {b"cookie": _COOKIE, b"host": _HOST, b"expect": _EXPECT}


class _Kinds(dict[bytes, int]):
    """What a field's name makes of it."""

    def __missing__(self, name: bytes) -> int:
        if name[:1] == b":":
            kind = _PSEUDO
        elif name in _BY_BODY:
            kind = _LEFT_OUT
        elif b"_" in name or b"." in name:
            kind = _ODD  # as in HTTP/1.1: backends take such names for others
        else:
            kind = _KINDS.get(name, _PLAIN)
        if len(name) <= KNOWN_BYTES:
            if len(self) >= KNOWN_NAMES:
                self.clear()
            self[name] = kind
        return kind


_kinds = _Kinds()


def _sort(
    fields: Fields,
) -> tuple[dict[bytes, bytes], list[Field], list[bytes], list[Field], bool]:
    """Part a head into pseudo fields and Host, fields to pass on, cookies, odd ones, and the wish for a 100."""
    kinds = _kinds
    pseudo: dict[bytes, bytes] = {}
    own: list[Field] = []
    cookies: list[bytes] = []
    odd: list[Field] = []
    expects = False
    for field in fields:
        name, value = field
        kind = kinds[name]
        if kind == _PLAIN:
            own.append(field if field.__class__ is tuple else (name, value))
        elif kind == _PSEUDO:
            pseudo[name] = value
        elif kind == _COOKIE:
            cookies.append(value)
        elif kind == _HOST:
            if pseudo.setdefault(b"host", value) != value:
                raise HttpError(400, "more than one Host")
        elif kind == _EXPECT:
            if value.lower() != b"100-continue":
                raise HttpError(417, "unknown expectation")
            expects = True
            own.append((b"expect", b"100-continue"))
        elif kind == _ODD:
            odd.append((name, value))
    return pseudo, own, cookies, odd, expects


def _authority(pseudo: dict[bytes, bytes]) -> str:
    """Return the one Host of a request (RFC 9113 §8.3.1)."""
    authority, host = pseudo.get(b":authority"), pseudo.get(b"host")
    if authority is None:
        authority = host
    elif host is not None and host.lower() != authority.lower():
        raise HttpError(400, "Host differs from :authority")
    if not authority:  # RFC 9114 §4.3.1: never empty
        raise HttpError(400, "malformed authority")
    return _authorities[authority]


class _Authorities(dict[bytes, str]):
    """Hosts as text."""

    def __missing__(self, authority: bytes) -> str:
        if _AUTHORITY.match(authority) is None:
            raise HttpError(400, "malformed authority")
        text = authority.decode("ascii")
        if len(authority) <= KNOWN_BYTES:
            if len(self) >= KNOWN_AUTHORITIES:
                self.clear()
            self[authority] = text
        return text


_authorities = _Authorities()
_targets: dict[bytes, tuple[str, str | None]] = {}


def _split_target(target: bytes, method: str) -> tuple[str, str | None]:
    known = _targets.get(target)
    if known is not None:
        return known
    if len(target) > MAX_TARGET_BYTES:
        raise HttpError(414, f"target of {len(target)} bytes")
    if _BAD_TARGET.search(target) is not None:
        raise HttpError(400, "malformed request target")
    if target[:1] != b"/":
        if target == b"*" and method == "OPTIONS":
            return "*", None
        raise HttpError(400, "the target is no path")
    plain = target if target.isascii() else quote_from_bytes(target, safe=_ASCII).encode()
    path, mark, query = plain.decode("ascii").partition("?")
    check_path(path)
    split = path, query if mark else None
    if len(target) <= KNOWN_BYTES:
        if len(_targets) >= KNOWN_TARGETS:
            _targets.clear()
        _targets[target] = split
    return split


_ASCII = bytes(range(0x21, 0x7F)).decode("ascii")


def _length(request: Request | None, response: Response) -> int | None:
    body = response.body
    if not isinstance(body, bytes):
        return body.length
    is_head = request is not None and request.method == "HEAD"
    return None if is_head and not body else len(body)
