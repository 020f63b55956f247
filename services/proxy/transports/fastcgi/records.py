"""FastCGI 1.0 records (its specification §3.3): bytes in, records out, and back. No sockets.

One request at a time uses a connection, under one id: no server in use multiplexes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from quantum.errors import QuantumError

BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7
VERSION = 1
REQUEST_ID = 1
"""Of every request: 0 is the connection's own."""
MAX_CONTENT = 65535
"""What the length of a record can say."""
_RESPONDER = 1
_KEEP_CONNECTION = 1
_HEADER = struct.Struct(">BBHHBx")
_BEGIN = struct.Struct(">HB5x")
_END = struct.Struct(">IB3x")
_LONG = 0x80000000
REASONS = {
    1: "it takes one request on a connection",
    2: "it is overloaded",
    3: "it knows no responders",
}
"""Protocol states of an END_REQUEST that are no success (§5.5)."""

Pair = tuple[bytes, bytes]


class BadRecord(QuantumError):
    """The peer's bytes are no FastCGI, or it refused the request."""


def encode_begin(*, keeps: bool) -> bytes:
    """Return what begins a request; ``keeps``: the connection shall serve another one after it."""
    body = _BEGIN.pack(_RESPONDER, _KEEP_CONNECTION if keeps else 0)
    return _record(BEGIN_REQUEST, body)


def encode_params(pairs: Iterable[Pair]) -> bytes:
    """Return the whole PARAMS stream, its end included."""
    parts: list[bytes] = []
    for name, value in pairs:
        parts += (_length(name), _length(value), name, value)
    return encode_stream(PARAMS, b"".join(parts)) + _record(PARAMS, b"")


def encode_stdin(data: bytes) -> bytes:
    """Return a piece of the request's body; nothing for nothing, which would end it."""
    return encode_stream(STDIN, data)


def encode_stdin_end() -> bytes:
    """Return the end of the request's body."""
    return _record(STDIN, b"")


def encode_stream(kind: int, data: bytes) -> bytes:
    """Return ``data`` in as many records as it needs."""
    if len(data) <= MAX_CONTENT:
        return _record(kind, data) if data else b""
    pieces = range(0, len(data), MAX_CONTENT)
    return b"".join(_record(kind, data[at : at + MAX_CONTENT]) for at in pieces)


def _record(kind: int, content: bytes) -> bytes:
    return _HEADER.pack(VERSION, kind, REQUEST_ID, len(content), 0) + content


def _length(text: bytes) -> bytes:
    size = len(text)
    return bytes((size,)) if size < 128 else (size | _LONG).to_bytes(4, "big")


class RecordReader:
    """Cuts a connection's bytes into records."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    @property
    def has_part(self) -> bool:
        """Whether a record has begun and not ended."""
        return bool(self._kept)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, content) of each record that is whole. BadRecord: nothing more can be read."""
        if self._kept:
            data = self._kept + data
        position, size = 0, len(data)
        while size - position >= _HEADER.size:
            version, kind, request, length, padding = _HEADER.unpack_from(data, position)
            if version != VERSION or request not in (0, REQUEST_ID):
                raise BadRecord(f"not a FastCGI record: {data[position : position + 8]!r}")
            start = position + _HEADER.size
            if start + length + padding > size:
                break
            position = start + length + padding
            if request:
                yield kind, data[start : start + length]
        self._kept = data[position:]


def check_end(content: bytes) -> None:
    """Take an END_REQUEST; BadRecord unless the request was carried out."""
    if len(content) < _END.size:
        raise BadRecord("a short END_REQUEST record")
    _, state = _END.unpack_from(content)
    if state:
        raise BadRecord(f"the request was refused: {REASONS.get(state, f'state {state}')}")
