"""Reading HTTP/1.1 request heads as a server (RFC 9112 §2–§5): strict, fast, without state.

A head is parsed when its last byte is there, by splitting and by one dictionary look-up per field
line: clients send the same lines again and again. A head that two servers could read differently is
refused with 400 and the connection is closed after it, because nobody knows where the next one begins.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

from quantum.errors import HttpError

Field = tuple[bytes, bytes]

MAX_HEAD_BYTES = 16 * 1024
"""Caddy's default for ``max_header_bytes`` (16 KiB); real requests have one or two."""
MAX_FIELDS = 100
"""Field lines in one head: browsers send about twenty; a hundred stops header bombs."""
MAX_TARGET_BYTES = 8 * 1024
"""RFC 9112 §3 wants at least 8,000 octets; longer targets are 414."""
MAX_METHOD_BYTES = 32
"""Caddy's bound; longer methods are 405."""
LINE_CACHE_SIZE = 4096
LINE_CACHE_BYTES = 256
"""Parsed lines kept, and the longest that is: a mebibyte or so that all connections share."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f#]")
_PLAIN_TARGET = re.compile(rb"/[\x21\x24-\x3e\x40-\x7e]{0,127}\Z")
"""A path with nothing to decide about: no query, fragment or quote, all ASCII, short."""
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?\Z")
_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,17})\Z")
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==\Z")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]\Z")

_METHODS = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
}


class RequestHead:
    """One parsed head. ``fields`` are the end-to-end ones; what belongs to the framing is attributes.

    ``target`` is in origin form ("/a?b" or "*"); ``length`` is the body's, None when it is
    ``chunked``. ``upgrade`` is the protocol wanted, lower case; ``websocket_key`` comes with
    "websocket". ``is_plain``: nothing about its framing asks for anything but the usual answer. ``odd``
    are fields with ``_`` or ``.`` in their names, which are passed on only where they are expected.
    """

    # Defaults of the class: most heads change none of them, and are made the faster for it.
    length: int | None = 0
    chunked = False
    keep_alive = True
    http_1_0 = False
    expects_continue = False
    upgrade: str | None = None
    websocket_key = b""
    is_plain = False
    odd: list[Field] | None = None

    def __init__(self, method: str, target: str = "", authority: str = "") -> None:
        self.method = method
        self.target = target
        self.authority = authority
        self.fields: list[Field] = []


def parse_head(data: bytes) -> RequestHead:
    """Parse a head without its final CRLF CRLF; HttpError says how it is refused.

    The caller bounds the size. After an error the connection MUST be closed.
    """
    lines = data.split(b"\r\n")
    line = lines.pop(0)
    known = _known_lines.get(line)
    method, target, version = known or _request_line(line)
    head = RequestHead(method)
    if len(lines) > MAX_FIELDS:
        raise HttpError(431, f"more than {MAX_FIELDS} header fields")
    fields = head.fields
    special: list[tuple[Field, _Reader]] | None = None
    host: bytes | None = None
    for line in lines:
        field, reader = _known.get(line) or _learn(line)
        if reader is None:
            fields.append(field)
        elif reader is _read_host:
            if host is not None:
                raise HttpError(400, "more than one Host")
            host = field[1]
        elif special is None:
            special = [(field, reader)]
        else:
            special.append((field, reader))
    if version != b"HTTP/1.1":
        head.http_1_0 = version == b"HTTP/1.0"
        _read_framing(head, special or [])
    elif special is None:
        head.is_plain = method != "HEAD"
    elif len(special) == 1 and special[0][1] is _read_length:
        head.length = _length_of(special[0][0][1])
        head.is_plain = method != "HEAD"
    else:
        _read_framing(head, special)
    authority = _known_hosts.get(host) if host is not None else None
    if known is not None and authority is not None:
        head.target, head.authority = known[1], authority
    else:
        _set_target(head, target, host)
    return head


_Line = tuple[str, Any, bytes]
_known_lines: dict[bytes, tuple[str, str, bytes]] = {}
"""Request lines in origin form without a query (it may hold a secret), to method, target, version."""


def _request_line(line: bytes) -> _Line:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise HttpError(400, "malformed request line")
    name, target, version = parts
    method = _METHODS.get(name)
    if method is None:
        if _TOKEN.match(name) is None:
            raise HttpError(400, "the method is no token")
        if len(name) > MAX_METHOD_BYTES:
            raise HttpError(405, f"method of {len(name)} bytes")
        method = name.decode("ascii")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        if _VERSION.match(version) is None:
            raise HttpError(400, "malformed HTTP version")
        if version[5:6] != b"1":
            raise HttpError(505, "HTTP version not served on this connection")
        version = b"HTTP/1.1"  # RFC 9110 §2.5: a higher minor version is read as our own
    if _PLAIN_TARGET.match(target) is not None and method != "CONNECT":
        if len(_known_lines) >= LINE_CACHE_SIZE:
            _known_lines.clear()
        _known_lines[line] = method, target.decode("ascii"), version
    return method, target, version


# Field lines. The cache maps a whole line to its field and, for those that are not simply passed on,
# to the function that reads them.


class _Framing:
    """What the framing fields of one head said."""

    __slots__ = ("codings", "connection", "key", "length", "upgrade")

    def __init__(self) -> None:
        self.length: int | None = None
        self.codings: bytes | None = None
        self.connection: list[bytes] = []
        self.upgrade: list[bytes] = []
        self.key: bytes | None = None


_Reader = Callable[[RequestHead, _Framing, bytes], None]
_Entry = tuple[Field, _Reader | None]
_known: dict[bytes, _Entry] = {}


def _learn(line: bytes) -> _Entry:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.match(name) is None:
        raise HttpError(400, _what_is_wrong(line))
    value = value.strip(b" \t")
    if _BAD_VALUE.search(value) is not None:
        raise HttpError(400, "control character in a header value")
    name = name.lower()
    reader = _READERS.get(name)
    if reader is None and (b"_" in name or b"." in name):
        reader = _set_aside  # they become other fields' names in CGI-like backends (Caddy 2026)
    entry: _Entry = (name, value), reader
    if len(line) <= LINE_CACHE_BYTES and name not in _SECRET:
        if len(_known) >= LINE_CACHE_SIZE:
            _known.clear()
        _known[line] = entry
    return entry


def _what_is_wrong(line: bytes) -> str:
    if line[:1] in {b" ", b"\t"}:
        return "folded header line"
    return (
        "space before the colon"
        if line.partition(b":")[0][-1:] in {b" ", b"\t"}
        else "malformed header line"
    )


_SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
"""Not cached: what must not stay in memory longer than its request, and differs anyway."""


def _drop(head: RequestHead, framing: _Framing, value: bytes) -> None:
    """A field that ends here."""


def _set_aside(head: RequestHead, framing: _Framing, value: bytes) -> None:
    """A marker: ``_read_framing`` keeps the field, name and all."""


def _read_host(head: RequestHead, framing: _Framing, value: bytes) -> None:
    """A marker: ``parse_head`` reads Host itself, every request has it."""


def _read_length(head: RequestHead, framing: _Framing, value: bytes) -> None:
    if framing.length is not None:
        raise HttpError(400, "more than one Content-Length")
    framing.length = _length_of(value)


def _length_of(value: bytes) -> int:
    if _LENGTH.match(value) is None:
        raise HttpError(400, "malformed Content-Length")
    return int(value)


def _read_codings(head: RequestHead, framing: _Framing, value: bytes) -> None:
    if framing.codings is not None:
        raise HttpError(400, "more than one Transfer-Encoding")
    framing.codings = value


def _read_connection(head: RequestHead, framing: _Framing, value: bytes) -> None:
    framing.connection += _tokens(value)


def _read_upgrade(head: RequestHead, framing: _Framing, value: bytes) -> None:
    framing.upgrade += _tokens(value)


def _read_expect(head: RequestHead, framing: _Framing, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise HttpError(417, "unknown expectation")
    head.expects_continue = True
    head.fields.append(
        (b"expect", b"100-continue")
    )  # answered here; a proxy may ask its upstream, too


def _read_te(head: RequestHead, framing: _Framing, value: bytes) -> None:
    if b"trailers" in _tokens(value):
        head.fields.append((b"te", b"trailers"))


def _read_key(head: RequestHead, framing: _Framing, value: bytes) -> None:
    if framing.key is not None:
        raise HttpError(400, "more than one Sec-WebSocket-Key")
    framing.key = value


_READERS: dict[bytes, _Reader] = {
    b"host": _read_host,
    b"content-length": _read_length,
    b"transfer-encoding": _read_codings,
    b"connection": _read_connection,
    b"upgrade": _read_upgrade,
    b"expect": _read_expect,
    b"te": _read_te,
    b"sec-websocket-key": _read_key,
    b"keep-alive": _drop,
    b"proxy-connection": _drop,
    b"http2-settings": _drop,
}


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t").lower() for token in value.split(b",")]


def _read_framing(head: RequestHead, special: list[tuple[Field, _Reader]]) -> None:
    framing = _Framing()
    for field, reader in special:
        if reader is _set_aside:
            head.odd = [*(head.odd or ()), field]
        else:
            reader(head, framing, field[1])
    if framing.codings is not None:
        _set_chunked(head, framing)
    elif framing.length is not None:
        head.length = framing.length
    connection = framing.connection
    if head.http_1_0:
        head.keep_alive = b"keep-alive" in connection and b"close" not in connection
        head.expects_continue = False  # RFC 9110 §10.1.1: a 1.0 client cannot mean it
    elif connection:
        head.keep_alive = b"close" not in connection
        if b"upgrade" in connection and framing.upgrade:
            _set_upgrade(head, framing)
        _drop_named(head, connection)


def _set_chunked(head: RequestHead, framing: _Framing) -> None:
    """RFC 9112 §6.1: chunked once, last, in 1.1, and never beside a length."""
    if framing.length is not None:
        raise HttpError(400, "both Transfer-Encoding and Content-Length")
    if head.http_1_0:
        raise HttpError(400, "Transfer-Encoding in HTTP/1.0")
    codings = (framing.codings or b"").lower()
    if codings != b"chunked":
        *others, last = _tokens(codings)
        if last == b"chunked" and others and set(others) <= {b"gzip", b"deflate", b"compress"}:
            raise HttpError(501, "transfer coding not implemented")
        raise HttpError(400, "malformed Transfer-Encoding")
    head.chunked, head.length = True, None


def _set_upgrade(head: RequestHead, framing: _Framing) -> None:
    wanted = framing.upgrade[0]
    if _TOKEN.match(wanted.replace(b"/", b"", 1)) is None:
        raise HttpError(400, "malformed Upgrade")
    if wanted == b"h2c" or head.chunked or head.length:
        return  # RFC 9113 dropped h2c upgrades; one with a body is answered as a plain request
    if wanted == b"websocket":
        if head.method != "GET":
            return
        key = framing.key or b""
        if _KEY.match(key) is None or len(binascii.a2b_base64(key)) != 16:
            raise HttpError(400, "malformed Sec-WebSocket-Key")
        head.websocket_key = key
    head.upgrade = wanted.decode("ascii")


_NOT_NAMED = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b""})


def _drop_named(head: RequestHead, connection: list[bytes]) -> None:
    named = set(connection) - _NOT_NAMED
    if named:
        head.fields = [field for field in head.fields if field[0] not in named]


# Targets (RFC 9112 §3.2) and Host.


def _set_target(head: RequestHead, target: bytes | str, host: bytes | None) -> None:
    if host is None:
        if not head.http_1_0:
            raise HttpError(400, "no Host")
        host = b""
    elif host not in _known_hosts:
        _learn_host(host)
    if isinstance(target, str):  # from the cache of lines
        head.target, head.authority = target, host.decode("ascii")
        return
    if len(target) > MAX_TARGET_BYTES:
        raise HttpError(414, f"target of {len(target)} bytes")
    if _BAD_TARGET.search(target) is not None:
        raise HttpError(400, "malformed request target")
    if head.method == "CONNECT":
        if b":" not in target or _HOST.match(target) is None:
            raise HttpError(400, "CONNECT needs host:port")
        raise HttpError(405, "CONNECT makes no sense here: this is no forward proxy")
    if target[:1] != b"/":
        target, host = _other_form(head, target, host)
    head.target = target.decode("ascii") if target.isascii() else _escape(target)
    head.authority = host.decode("ascii")


_known_hosts: dict[bytes, str] = {}


def _learn_host(host: bytes) -> None:
    if _HOST.match(host) is None:
        raise HttpError(400, "malformed Host")
    if len(_known_hosts) >= LINE_CACHE_SIZE:
        _known_hosts.clear()
    _known_hosts[host] = host.decode("ascii")


def _other_form(head: RequestHead, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Return target and Host of a request that is not in origin form."""
    if target == b"*":
        if head.method != "OPTIONS":
            raise HttpError(400, "target * is for OPTIONS")
        return target, host
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in {b"http", b"https"}:
        raise HttpError(400, "malformed request target")
    match = re.search(rb"[/?]", rest)
    authority = rest if match is None else rest[: match.start()]
    path = b"" if match is None else rest[match.start() :]
    if not authority or _HOST.match(authority) is None:
        raise HttpError(400, "malformed authority in the target")
    if not path:
        path = b"*" if head.method == "OPTIONS" else b"/"
    return (path if path[:1] in {b"/", b"*"} else b"/" + path), authority


def _escape(target: bytes) -> str:
    """Percent-encode the bytes above ASCII that some clients send raw."""
    return "".join([chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in target])
