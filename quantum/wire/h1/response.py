"""Reading HTTP/1.1 responses as a client (RFC 9112): bytes in, heads and bodies out, no sockets.

One ResponseReader serves one connection, response after response. It is strict, because a proxy that
guesses where a response ends gives the rest of it to somebody else: whatever leaves the end of a
message in doubt raises BadResponse, and bytes after the end mark the connection as not reusable.
"""

from __future__ import annotations

import httptools

from quantum.errors import QuantumError
from quantum.http.headers import Field, Headers

MAX_HEAD_BYTES = 10 * 1024 * 1024
"""Caddy's default for ``max_response_header_size``: what Go's transport takes."""
MAX_FIELDS = 1000
"""Fields in one head or trailer section: ten times what real sites send, far below a bomb."""
MAX_INFORMATIONAL = 16
"""1xx responses before one final answer: a peer that sends more is not going to answer."""

_NO_BODY = frozenset({204, 304})


class BadResponse(QuantumError):
    """The peer's bytes are not a response that can be framed with certainty, or break a limit."""


class ResponseReader:
    """The state of the response being read; ``expect`` begins it, ``feed`` goes on with it.

    After each ``feed`` the caller looks at the attributes: ``informational`` (1xx received since it
    was last emptied), ``has_head`` with ``status``, ``fields``, ``length`` and ``until_close``,
    ``chunks`` (body bytes not yet taken; the caller empties it), ``is_complete`` with ``trailers``.
    ``keep_alive`` then says whether another request may follow on this connection.
    ``upgraded`` holds the bytes that came behind a 101; from then on nothing may be fed.
    """

    __slots__ = (
        "_body_forbidden", "_count", "_head_bytes", "_max_head_bytes", "_parser", "_quiet",
        "_section", "_wants_upgrade", "chunks", "excess", "fields", "has_head",
        "informational", "is_complete", "keep_alive", "length", "status", "trailers",
        "until_close", "upgraded",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int = MAX_HEAD_BYTES) -> None:
        self._max_head_bytes = max_head_bytes
        self._parser = httptools.HttpResponseParser(self)
        self.excess = False
        self.is_complete = True
        self._body_forbidden = False
        self._wants_upgrade = False
        self._reset()

    def _reset(self) -> None:
        self._head_bytes = 0
        self._quiet = 0
        self._count = 0
        self._section: list[Field] = []
        self.status = 0
        self.fields: list[Field] = self._section
        self.trailers: list[Field] | None = None
        self.length: int | None = None
        self.until_close = False
        self.has_head = False
        self.keep_alive = False
        self.chunks: list[bytes] = []
        self.informational: list[tuple[int, Headers]] = []
        self.upgraded: bytes | None = None

    def expect(self, method: str, *, upgrade: bool = False) -> None:
        """Begin the response to a ``method`` request; the previous one MUST be complete.

        ``upgrade`` says whether the request asked for one: only then is a 101 an answer.
        """
        if self._body_forbidden:  # llhttp still waits for the body that HEAD's answer never has
            self._parser = httptools.HttpResponseParser(self)
        self._body_forbidden = method == "HEAD"
        self._wants_upgrade = upgrade
        self.is_complete = False
        self._reset()

    def feed(self, data: bytes) -> None:
        """Go on with ``data``. BadResponse: the connection MUST be closed, nothing of it reused."""
        if self.is_complete:
            self.excess = True
            self.keep_alive = False
            return
        in_head = not self.has_head
        if in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            raise _cause(error) from None
        except httptools.HttpParserError as error:
            if not self.is_complete:
                raise BadResponse(f"malformed response: {error}") from None
            self.excess = True
            self.keep_alive = False
        if in_head:
            if not self.has_head and self._head_bytes > self._max_head_bytes:
                raise BadResponse(f"response head exceeds {self._max_head_bytes} bytes")
        elif not self.is_complete:
            self._count_quiet(len(data))

    @property
    def has_bytes(self) -> bool:
        """Whether any byte of the response expected has come."""
        return self.has_head or self._head_bytes > 0

    def feed_eof(self) -> None:
        """Tell of the peer's end: it completes a body without a length; else BadResponse."""
        if self.is_complete:
            return
        if not self.has_head:
            raise BadResponse("connection closed before the response was complete")
        if not self.until_close:
            raise BadResponse("connection closed inside the response body")
        self.is_complete = True

    def _count_quiet(self, count: int) -> None:
        """Bound what the parser swallows without giving anything: chunk extensions, trailers."""
        if self.chunks:
            self._quiet = 0
            return
        self._quiet += count
        if self._quiet > self._max_head_bytes:
            raise BadResponse("endless chunk extension or trailer")

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A message begins: the one expected, or one too many."""
        if self.is_complete:
            self.excess = True
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field of the head, or of the trailer section once the head is complete."""
        self._section.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide what the head means: informational, switching, or final with its framing."""
        if self.is_complete:
            return
        parser, fields = self._parser, self._section
        status = parser.get_status_code()
        if len(fields) > MAX_FIELDS:
            raise BadResponse(f"more than {MAX_FIELDS} fields in the response head")
        framing = [field for field in fields if field[0] in _FRAMING]
        if status < 200:
            self._informed(status, fields, framing)
            return
        self.status = status
        self.fields = fields
        self._section = []
        self.keep_alive = parser.should_keep_alive()
        self._frame(framing)
        self.has_head = True
        if self._body_forbidden:
            self.keep_alive = _stays_open(parser.get_http_version(), fields)
            self.is_complete = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.is_complete:
            self.excess = True
            self.keep_alive = False
        else:
            self.chunks.append(data)

    def on_message_complete(self) -> None:
        """End an informational response or the final one."""
        if self.has_head and not self.is_complete:
            if self._section:
                if len(self._section) > MAX_FIELDS:
                    raise BadResponse(f"more than {MAX_FIELDS} trailer fields")
                self.trailers = self._section
            self.is_complete = True

    # The framing.

    def _informed(self, status: int, fields: list[Field], framing: list[Field]) -> None:
        if framing:
            raise BadResponse(
                f"{status} response with body framing"
            )  # RFC 9110 §8.6, RFC 9112 §6.1
        self._section = []
        if status == 101:
            if not self._wants_upgrade or not self._parser.should_upgrade():
                raise BadResponse("101 response that was not asked for")
            self.status = status
            self.fields = fields
            self.has_head = True
            self.keep_alive = False
            return
        self._count += 1
        if self._count > MAX_INFORMATIONAL:
            raise BadResponse(f"more than {MAX_INFORMATIONAL} informational responses")
        if status != 100:  # 100 answers Expect, which the proxy never passes on
            self.informational.append((status, Headers(fields)))

    def _frame(self, framing: list[Field]) -> None:
        """Set length and until_close by RFC 9112 §6.3; llhttp has refused the contradictions."""
        if self._body_forbidden or self.status in _NO_BODY:
            self.length = 0
        elif not framing:
            self.until_close = True
            self.keep_alive = False
        elif framing[0][0] == b"content-length":
            self.length = int(framing[0][1])
        elif (
            len(framing) > 1
            or framing[0][1].lower() != b"chunked"
            or self._parser.get_http_version() != "1.1"
        ):
            raise BadResponse(f"transfer-encoding not understood: {framing[0][1][:64]!r}")


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def _stays_open(version: str, fields: list[Field]) -> bool:
    """RFC 9112 §9.3, for answers to HEAD: llhttp would wait for their bodies and says no."""
    options = [value.lower() for name, value in fields if name == b"connection"]
    listed = {option.strip() for value in options for option in value.split(b",")}
    return b"close" not in listed and (version == "1.1" or b"keep-alive" in listed)


def _cause(error: Exception) -> BaseException:
    cause = error.__context__
    return cause if isinstance(cause, BadResponse) else BadResponse(f"malformed response: {error}")
