"""Reading HTTP/1.1 responses as a client (RFC 9112): bytes in, heads and bodies out, no sockets.

One ResponseReader serves one connection, response after response. It is strict, because a proxy that
guesses where a response ends gives the rest of it to somebody else: whatever leaves the end of a
message in doubt raises BadResponse, and bytes after the end mark the connection as not reusable.
Like its sister ``request`` it splits whole heads and looks each line up: servers repeat themselves.
"""

from __future__ import annotations

import re

from quantum.errors import HttpError, QuantumError
from quantum.wire.h1.chunked import ChunkedReader

Field = tuple[bytes, bytes]

MAX_HEAD_BYTES = 10 * 1024 * 1024
"""Caddy's default for ``max_response_header_size``: what Go's transport takes."""
MAX_FIELDS = 1000
"""Fields in one head: ten times what real sites send, far below a bomb."""
MAX_INFORMATIONAL = 16
"""1xx responses before one final answer: a peer that sends more is not going to answer."""
LINE_CACHE_SIZE = 4096
LINE_CACHE_BYTES = 256
"""Parsed lines kept, and the longest that is: a mebibyte or so that all connections share."""

HEAD_CACHE_SIZE = 512
HEAD_CACHE_BYTES = 1024
"""Whole heads kept, and the longest that is: within a second many answers differ in nothing."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\Z")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_PREFIX = b"HTTP/1."

_PLAIN, _CONTENT_LENGTH, _FRAMING, _KEEP_ALIVE, _SECRET = range(5)
_KINDS = {
    b"content-length": _CONTENT_LENGTH,
    **dict.fromkeys(
        (b"set-cookie", b"authentication-info", b"www-authenticate", b"location"), _SECRET
    ),
    **dict.fromkeys(
        (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"),
        _FRAMING,
    ),
}
"""Fields that belong to the framing of this connection: they are read here and go no further. SECRET
is what may be a secret of one client, and so has no place in a table that outlives its response."""
_NO_BODY = frozenset({204, 304})


class BadResponse(QuantumError):
    """The peer's bytes are not a response that can be framed with certainty, or break a limit."""


_Line = tuple[Field, int]
_known_lines: dict[bytes, _Line] = {}
_known_status: dict[bytes, tuple[int, bool]] = {}


def _learn_line(line: bytes) -> _Line:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.match(name) is None:
        raise BadResponse(f"malformed response field: {line[:64]!r}")
    value = value.strip(b" \t")
    if _BAD_VALUE.search(value) is not None:
        raise BadResponse("control character in a response field")
    name = name.lower()
    kind = _KINDS.get(name, _PLAIN)
    if name == b"connection" and value.lower() == b"keep-alive":
        kind = _KEEP_ALIVE  # on nearly every response, and of no consequence in HTTP/1.1
    entry = (name, value), kind
    if len(line) <= LINE_CACHE_BYTES and kind != _SECRET:
        if len(_known_lines) >= LINE_CACHE_SIZE:
            _known_lines.clear()
        _known_lines[line] = entry
    return entry


def _learn_status(line: bytes) -> tuple[int, bool]:
    match = _STATUS.match(line)
    if match is None:
        raise BadResponse(f"malformed status line: {line[:64]!r}")
    entry = int(match[2]), match[1] == b"0"
    if len(_known_status) >= LINE_CACHE_SIZE:
        _known_status.clear()
    if len(line) <= LINE_CACHE_BYTES:
        _known_status[line] = entry
    return entry


_Head = tuple[int, bool, list[Field], list[Field], bytes | None]
"""A head that was understood: status, whether it is HTTP/1.0, fields, framing fields, length."""
_known_heads: dict[bytes, _Head] = {}


def _parse_head(head: bytes) -> _Head:
    lines = head.split(b"\r\n")
    first = lines[0]
    status, is_1_0 = _known_status.get(first) or _learn_status(first)
    if len(lines) > MAX_FIELDS + 1:
        raise BadResponse(f"more than {MAX_FIELDS} fields in the response head")
    fields: list[Field] = []
    framing: list[Field] = []
    length: bytes | None = None
    is_kept = len(head) <= HEAD_CACHE_BYTES
    del lines[0]
    for line in lines:
        field, kind = _known_lines.get(line) or _learn_line(line)
        if kind == _PLAIN:
            fields.append(field)
        elif kind == _FRAMING or (kind == _KEEP_ALIVE and is_1_0):
            framing.append(field)
        elif kind == _KEEP_ALIVE:
            continue
        elif kind == _SECRET:
            fields.append(field)
            is_kept = False
        elif length is not None:
            raise BadResponse("more than one Content-Length")
        else:
            length = field[1]
            fields.append(field)
    parsed = status, is_1_0, fields, framing, length
    if is_kept:
        if len(_known_heads) >= HEAD_CACHE_SIZE:
            _known_heads.clear()
        _known_heads[head] = parsed
    return parsed


class ResponseReader:
    """The state of the response being read; ``expect`` begins it, ``feed`` goes on with it.

    After each ``feed`` the caller looks at the attributes: ``informational`` (1xx received since it
    was last emptied), ``has_head`` with ``status``, ``fields``, ``length`` and ``until_close``,
    ``chunks`` (body bytes not yet taken; the caller empties it), ``is_complete`` with ``trailers``.
    ``fields`` are the end-to-end ones; of a 101 ``upgrade`` is among them. ``keep_alive`` says
    whether another request may follow on this connection once the response is complete.
    ``continued``: a 100 has come. ``upgraded`` holds the bytes that came behind a 101; from then on nothing may be fed.
    """

    __slots__ = (
        "_buffer", "_chunked", "_count", "_is_head", "_left", "_max_head_bytes", "_wants_upgrade",
        "chunks", "continued", "excess", "fields", "has_head", "informational", "is_complete", "keep_alive",
        "length", "status", "trailers", "until_close", "upgraded",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int = MAX_HEAD_BYTES) -> None:
        self._max_head_bytes = max_head_bytes
        self.excess = False
        self.informational: list[tuple[int, list[Field]]] = []
        self.fields: list[Field] = []
        self.expect("GET")
        self.is_complete = True

    def expect(self, method: str, *, upgrade: bool = False) -> None:
        """Begin the response to a ``method`` request; the previous one MUST be complete.

        ``upgrade`` says whether the request asked for one: only then is a 101 an answer.
        """
        self._is_head = method == "HEAD"
        self._wants_upgrade = upgrade
        self._buffer: bytearray | None = None
        self._chunked: ChunkedReader | None = None
        self._count = 0
        self._left = 0
        self.status = 0
        self.length: int | None = None
        self.trailers: list[Field] | None = None
        self.chunks: list[bytes] = []
        self.upgraded: bytes | None = None
        self.has_head = self.is_complete = self.keep_alive = self.until_close = False
        self.continued = False

    @property
    def has_bytes(self) -> bool:
        """Whether any byte of the response expected has come."""
        return self.has_head or bool(self._buffer) or self._count > 0

    def feed(self, data: bytes) -> None:
        """Go on with ``data``. BadResponse: the connection MUST be closed, nothing of it reused."""
        if self.is_complete:
            self._exceed()
        elif self.has_head:
            self._read_body(data)
        else:
            self._read_heads(data)

    def feed_eof(self) -> None:
        """Tell of the peer's end: it completes a body without a length; else BadResponse."""
        if self.is_complete:
            return
        if not self.has_head:
            raise BadResponse("connection closed before the response was complete")
        if not self.until_close:
            raise BadResponse("connection closed inside the response body")
        self.is_complete = True

    def _exceed(self) -> None:
        self.excess = True
        self.keep_alive = False

    # The head.

    def _read_heads(self, data: bytes) -> None:
        """Read heads until the final one; keep what is not whole yet."""
        while not self.has_head:
            if self._buffer is not None:
                data = self._join(data)
            end = data.find(b"\r\n\r\n") if data else -1
            if end < 0:
                self._keep(data)
                return
            if end > self._max_head_bytes:
                raise BadResponse(f"response head exceeds {self._max_head_bytes} bytes")
            self._buffer = None
            self._read_head(data[:end])
            data = data[end + 4 :]
        if self.upgraded is not None:
            self.upgraded = data
        elif data:
            self.feed(data)

    def _join(self, data: bytes) -> bytes:
        """Add ``data`` to what is kept; return all of it only when its head may be whole."""
        buffer = self._buffer
        assert buffer is not None
        seen = max(len(buffer) - 3, 0)
        buffer += data
        if buffer.find(b"\r\n\r\n", seen) >= 0:
            return bytes(buffer)
        if buffer.count(b"\n", seen) != buffer.count(b"\r\n", max(seen - 1, 0)):
            self._refuse_bare_lf(bytes(buffer))
        return b""

    def _keep(self, data: bytes) -> None:
        if data:
            self._refuse_bare_lf(data)
            self._buffer = bytearray(data)
        kept = self._buffer
        if kept is None:
            return
        if not kept.startswith(_PREFIX) and not _PREFIX.startswith(bytes(kept)):
            raise BadResponse(f"not an HTTP/1 response: {bytes(kept[:32])!r}")
        if len(kept) > self._max_head_bytes:
            raise BadResponse(f"response head exceeds {self._max_head_bytes} bytes")

    def _refuse_bare_lf(self, data: bytes) -> None:
        if data.count(b"\n") != data.count(b"\r\n"):
            raise BadResponse("bare LF in the response head")

    def _read_head(self, head: bytes) -> None:
        status, is_1_0, fields, framing, length = _known_heads.get(head) or _parse_head(head)
        self.fields = fields.copy()
        if status < 200:
            self._read_informational(status, framing, length)
            return
        self.status = status
        self.has_head = True
        self.keep_alive = not is_1_0
        coding = self._read_framing(framing, is_1_0) if framing else None
        if length is not None and (coding is not None or _LENGTH.match(length) is None):
            raise BadResponse(f"content-length not understood: {length[:64]!r}")
        if self._is_head or status in _NO_BODY:
            self.length = 0
            self.is_complete = True
        elif coding is not None:
            self._chunked = ChunkedReader()
        elif length is not None:
            self._left = self.length = int(length)
            self.is_complete = not self._left
        else:
            self.until_close = True
            self.keep_alive = False

    def _read_framing(self, framing: list[Field], is_1_0: bool) -> bytes | None:
        """Obey the fields of this connection; return the transfer coding (chunked, or none)."""
        codings = [value.lower() for name, value in framing if name == b"transfer-encoding"]
        if codings and (codings != [b"chunked"] or is_1_0):
            raise BadResponse(f"transfer-encoding not understood: {codings[0][:64]!r}")
        options = _options(framing)
        if b"close" in options:
            self.keep_alive = False
        elif is_1_0:
            self.keep_alive = b"keep-alive" in options
        named = options - _KNOWN_OPTIONS
        if named:  # RFC 9110 §7.6.1: fields that Connection names are for us alone
            self.fields = [field for field in self.fields if field[0] not in named]
        return codings[0] if codings else None

    def _read_informational(self, status: int, framing: list[Field], length: bytes | None) -> None:
        if length is not None or any(name == b"transfer-encoding" for name, _ in framing):
            raise BadResponse(f"{status} response with body framing")  # RFC 9110 §8.6
        if status == 101:
            switched = [field for field in framing if field[0] == b"upgrade"]
            if not self._wants_upgrade or not switched or b"upgrade" not in _options(framing):
                raise BadResponse("101 response that was not asked for")
            self.status = status
            self.fields += switched
            self.has_head = self.is_complete = True
            self.upgraded = b""
            return
        self._count += 1
        if self._count > MAX_INFORMATIONAL:
            raise BadResponse(f"more than {MAX_INFORMATIONAL} informational responses")
        if status == 100:  # it answers Expect, and is for who asked: us
            self.continued = True
        else:
            self.informational.append((status, self.fields))

    # The body.

    def _read_body(self, data: bytes) -> None:
        if self.until_close:
            self.chunks.append(data)
        elif self._chunked is not None:
            self._read_chunked(self._chunked, data)
        else:
            size = len(data)
            if size > self._left:
                data, size = data[: self._left], self._left
                self._exceed()
            self.chunks.append(data)
            self._left -= size
            self.is_complete = not self._left

    def _read_chunked(self, chunked: ChunkedReader, data: bytes) -> None:
        try:
            self.chunks += chunked.feed(data)
        except HttpError as error:
            raise BadResponse(f"chunked response body: {error.reason}") from None
        if chunked.is_done:
            self.is_complete = True
            self.trailers = chunked.trailers or None
            if chunked.rest:
                self._exceed()


_KNOWN_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b""})


def _options(framing: list[Field]) -> set[bytes]:
    return {
        option.strip().lower()
        for name, value in framing
        if name == b"connection"
        for option in value.split(b",")
    }
