"""Reading the chunked coding (RFC 9112 §7.1) as a server: strict to the byte, bounded everywhere."""

from __future__ import annotations

import re

from quantum.errors import HttpError
from quantum.wire.h1.head import FORBIDDEN_TRAILERS

Field = tuple[bytes, bytes]

MAX_CHUNK_LINE = 256
"""Bytes of a chunk's size line with its extensions, which nobody uses but attackers (Go CVE-2023-39326)."""
MAX_TRAILER_BYTES = 16 * 1024
MAX_TRAILERS = 100
"""Trailers obey the limits of heads (aiohttp's CVE-2026-22815 had none)."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\Z")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")
_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedReader:
    """Decodes one chunked body. ``feed`` takes what arrived and returns the body bytes in it.

    When ``is_done``, ``rest`` holds what came behind the body and ``trailers`` its trailers (the
    forbidden ones left out). HttpError 400 for bad framing: the connection is then of no use.
    """

    __slots__ = ("_buffer", "_left", "_state", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = _SIZE
        self.rest = b""
        self.trailers: list[Field] = []

    @property
    def is_done(self) -> bool:
        """Whether the last chunk and the trailers were read."""
        return self._state == _DONE

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces of body in ``data``."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        pieces: list[bytes] = []
        position = 0
        while True:
            start, state = position, self._state
            if state == _DATA:
                position = self._read_data(data, position, pieces)
            elif state == _SIZE:
                position = self._read_size(data, position)
            elif state == _DATA_END:
                position = self._read_data_end(data, position)
            elif state == _TRAILERS:
                position = self._read_trailers(data, position)
            if self._state == _DONE:
                self.rest = data[position:]
                return pieces
            if position == start and state == self._state:
                self._buffer = data[position:]
                return pieces

    def _read_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position, position + MAX_CHUNK_LINE)
        if end < 0:
            if len(data) - position >= MAX_CHUNK_LINE:
                raise HttpError(400, "chunk size line too long")
            return position
        match = _SIZE_LINE.match(data[position : end - 1]) if end > position else None
        if match is None or data[end - 1] != 13:
            raise HttpError(400, "malformed chunk size")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return end + 1

    def _read_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        piece = data[position : position + self._left]
        if piece:
            pieces.append(piece)
            self._left -= len(piece)
        if not self._left:
            self._state = _DATA_END
        return position + len(piece)

    def _read_data_end(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return position + 2
        if end not in {b"", b"\r"}:
            raise HttpError(400, "chunk longer than its size")
        return position

    def _read_trailers(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self._state = _DONE
            return position + 2
        end = data.find(b"\r\n\r\n", position, position + MAX_TRAILER_BYTES)
        if end < 0:
            if len(data) - position >= MAX_TRAILER_BYTES:
                raise HttpError(431, "trailers too large")
            if data.count(b"\n", position) != data.count(b"\r\n", position):
                raise HttpError(400, "bare LF in trailers")
            return position
        lines = data[position:end].split(b"\r\n")
        if len(lines) > MAX_TRAILERS:
            raise HttpError(431, "too many trailers")
        for line in lines:
            match = _TRAILER.match(line)
            if match is None:
                raise HttpError(400, "malformed trailer")
            name = match[1].lower()
            if name not in FORBIDDEN_TRAILERS and b"_" not in name and b"." not in name:
                self.trailers.append((name, match[2]))
        self._state = _DONE
        return end + 4
