"""Byte ranges (RFC 9110 §14): which parts of a representation a Range field asks for.

Pure. A field that is not understood, or that would make the answer dearer than the whole, is ignored
(None: send everything); only a well-formed one without any satisfiable part is an error (416).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_RANGES = 16
"""Parts that one request may ask for; more is the "Range header denial of service" of 2011
(CVE-2011-3192), and no client needs it: the field is ignored then."""

_SPEC = re.compile(rb"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from ``first`` up to, not including, ``end``."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    def content_range(self, size: int) -> bytes:
        """Return the Content-Range field of this part of ``size`` bytes."""
        return b"bytes %d-%d/%d" % (self.first, self.end - 1, size)


class Unsatisfiable(Exception):
    """No part that was asked for exists: 416 with ``content_range``."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.content_range = b"bytes */%d" % size


def parse_ranges(value: bytes, size: int) -> list[ByteRange] | None:
    """Return the parts asked for, None to send everything; raises Unsatisfiable."""
    unit, separator, specs = value.partition(b"=")
    if unit.strip().lower() != b"bytes" or not separator:
        return None
    ranges: list[ByteRange] = []
    asked = specs.split(b",")
    if len(asked) > MOST_RANGES:
        return None
    for spec in asked:
        if not spec.strip(b" \t"):
            continue
        match = _SPEC.match(spec)
        if match is None:
            return None
        first, last = match.groups()
        if (not first and not last) or (first and last and int(last) < int(first)):
            return None
        part = _part(first, last, size)
        if part is not None:
            ranges.append(part)
    if not ranges:
        if any(spec.strip(b" \t") for spec in asked):
            raise Unsatisfiable(size)
        return None
    if sum(map(len, ranges)) > size:
        return None  # overlapping parts cost more than the whole
    return ranges


def _part(first: bytes, last: bytes, size: int) -> ByteRange | None:
    if not first:
        count = min(int(last), size)
        return ByteRange(size - count, size) if count else None
    start = int(first)
    if start >= size:
        return None
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def multipart_head(
    boundary: bytes, part: ByteRange, size: int, content_type: bytes | None
) -> bytes:
    """Return what stands before a part of a multipart/byteranges body (RFC 9110 §14.6)."""
    type_line = b"" if content_type is None else b"Content-Type: " + content_type + b"\r\n"
    field = b"Content-Range: " + part.content_range(size)
    return b"\r\n--" + boundary + b"\r\n" + type_line + field + b"\r\n\r\n"


def multipart_tail(boundary: bytes) -> bytes:
    """Return what stands after the last part."""
    return b"\r\n--" + boundary + b"--\r\n"
