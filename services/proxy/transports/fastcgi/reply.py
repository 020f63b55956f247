"""Reading the answer of a FastCGI application: records in, a response's head and body out (RFC 3875 §6).

A ReplyReader has the face of ``quantum.wire.h1.response.ResponseReader``, so that one kind of connection
serves both protocols. An answer is complete with its END_REQUEST only: a peer that just closes has died.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from quantum.http.headers import Field
from quantum.wire.h1.response import BadResponse
from services.proxy.transports.fastcgi.records import (
    END_REQUEST,
    STDERR,
    STDOUT,
    BadRecord,
    RecordReader,
    check_end,
)

MAX_STDERR_BYTES = 64 * 1024
"""Kept of what one request says on stderr: a page of backtraces."""
MAX_FIELDS = 1000
"""As in a response over HTTP/1.1."""
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS = re.compile(rb"([2-9][0-9]{2})(?: .*)?\Z")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NO_BODY = frozenset({204, 304})

Report = Callable[[int, bytes], None]
"""Hears the status (0: none) and what was said on stderr, once, when the exchange is over."""


class ReplyReader:
    """The state of the answer being read; see ResponseReader for what its attributes mean."""

    continued = False
    """Nobody is asked first here."""
    __slots__ = (
        "_buffer", "_is_head", "_keeps", "_left", "_max_head_bytes", "_records", "_report", "_stderr",
        "chunks", "excess", "fields", "has_bytes", "has_head", "informational", "is_complete",
        "keep_alive", "length", "status", "trailers", "upgraded",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int, *, keeps: bool, report: Report | None) -> None:
        """``keeps``: connections serve several requests; ``report``: who wants to know of stderr."""
        self._max_head_bytes = max_head_bytes
        self._keeps = keeps
        self._report = report
        self.excess = False
        self.informational: list[tuple[int, list[Field]]] = []
        self.trailers: list[Field] | None = None
        self.upgraded: bytes | None = None
        self.expect("GET")
        self.is_complete = True

    def expect(self, method: str, *, upgrade: bool = False) -> None:
        """Begin the answer to a ``method`` request; there are no upgrades."""
        self._is_head = method == "HEAD"
        self._records = RecordReader()
        self._buffer = b""
        self._stderr = b""
        self._left: int | None = None
        self.status = 0
        self.fields: list[Field] = []
        self.length: int | None = None
        self.chunks: list[bytes] = []
        self.has_bytes = self.has_head = self.is_complete = self.keep_alive = False

    def feed(self, data: bytes) -> None:
        """Go on with ``data``. BadResponse: the connection MUST be closed."""
        self.has_bytes = True
        try:
            for kind, content in self._records.feed(data):
                if self.is_complete:
                    raise BadResponse("a record after the end of the request")
                self._take(kind, content)
        except BadRecord as error:
            self._tell()
            raise BadResponse(str(error)) from None
        if self.is_complete and self._records.has_part:
            self.excess, self.keep_alive = True, False

    def feed_eof(self) -> None:
        """Tell of the peer's end: only END_REQUEST completes an answer, so this is BadResponse."""
        if self.is_complete:
            return
        self._tell()
        raise BadResponse("connection closed before the response was complete")

    def _take(self, kind: int, content: bytes) -> None:
        if kind == STDOUT:
            if self.has_head:
                self._take_body(content)
            else:
                self._take_head(content)
        elif kind == STDERR:
            room = MAX_STDERR_BYTES - len(self._stderr)
            self._stderr += content[:room]
        elif kind == END_REQUEST:
            check_end(content)
            if not self.has_head:
                raise BadRecord("the request ended without an answer")
            if self._left:
                raise BadRecord(f"{self._left} bytes are missing at the end of the body")
            self.is_complete, self.keep_alive = True, self._keeps
            self._tell()

    def _tell(self) -> None:
        if self._report is not None and self._stderr:
            self._report(self.status, self._stderr)
        self._stderr = b""

    # The head.

    def _take_head(self, content: bytes) -> None:
        buffer = self._buffer + content
        end = _HEAD_END.search(buffer, max(len(self._buffer) - 3, 0))
        if (end.start() if end else len(buffer)) > self._max_head_bytes:
            raise BadResponse(f"response head exceeds {self._max_head_bytes} bytes")
        if end is None:
            self._buffer = buffer
            return
        self._buffer = b""
        self._read_head(buffer[: end.start()])
        self._take_body(buffer[end.end() :])

    def _read_head(self, head: bytes) -> None:
        lines = head.split(b"\n")
        if len(lines) > MAX_FIELDS:
            raise BadResponse(f"more than {MAX_FIELDS} fields in the response head")
        status, fields = b"", []
        for line in lines:
            name, value = _field(line.rstrip(b"\r"))
            if name == b"status":
                status = value
            else:
                fields.append((name, value))
        names = dict(fields)
        self.status = _status(status, is_redirect=b"location" in names)
        if b"content-length" in names:
            self.length = self._left = _size(names[b"content-length"])
        if self._is_head or self.status in _NO_BODY:
            self.length, self._left = 0, None
        self.fields = fields
        self.has_head = True

    def _take_body(self, content: bytes) -> None:
        if not content or self._is_head or self.status in _NO_BODY:
            return
        if self._left is not None:
            if len(content) > self._left:
                raise BadResponse("more body than Content-Length says")
            self._left -= len(content)
        self.chunks.append(content)


def _field(line: bytes) -> Field:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or _TOKEN.match(name) is None or _BAD_VALUE.search(value) is not None:
        raise BadResponse(f"malformed field in the application's answer: {line[:64]!r}")
    return name.lower(), value


def _status(text: bytes, *, is_redirect: bool) -> int:
    """Return the status: what ``Status`` says, 302 for a Location without one (RFC 3875 §6.2.3), else 200."""
    if not text:
        return 302 if is_redirect else 200
    match = _STATUS.match(text)
    if match is None:
        raise BadResponse(f"malformed Status: {text[:64]!r}")
    return int(match[1])


def _size(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise BadResponse(f"content-length not understood: {text[:64]!r}")
    return int(text)
