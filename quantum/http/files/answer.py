"""The answer to a GET or HEAD for one file: 200, 206, 304, 412 or 416 (RFC 9110 §13-15)."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from quantum.http.body import AnyBody
from quantum.http.files.body import CHUNK, FileBody, is_resident
from quantum.http.files.conditional import Verdict, evaluate, range_applies
from quantum.http.files.dates import format_date
from quantum.http.files.ranges import (
    ByteRange,
    Unsatisfiable,
    multipart_head,
    multipart_tail,
    parse_ranges,
)
from quantum.http.headers import Field, Headers
from quantum.http.message import Response

WHOLE_READ = CHUNK
"""Files up to this size that are in the page cache are sent as one piece of bytes: the fast path of
every codec, for the price of one chunk of memory."""


@dataclass(frozen=True, slots=True)
class Representation:
    """What is known of a file: its size, validators, type, and other fields of its answers.

    ``etag`` with its quotes; ``modified`` in Unix seconds; either is None when there is none.
    """

    size: int
    etag: bytes | None
    modified: int | None
    content_type: bytes | None
    extra: tuple[Field, ...] = ()

    def validators(self) -> list[Field]:
        """Return the fields that a 200 and a 304 have in common."""
        fields = list(self.extra)
        if self.etag is not None:
            fields.append((b"etag", self.etag))
        if self.modified is not None:
            fields.append((b"last-modified", format_date(self.modified)))
        return fields

    def whole(self) -> Headers:
        """Return the fields of an answer with all of it."""
        fields = self.validators()
        if self.content_type is not None:
            fields.append((b"content-type", self.content_type))
        fields.append((b"accept-ranges", b"bytes"))
        fields.append((b"content-length", b"%d" % self.size))
        return Headers(fields)


def answer(
    method: str, headers: Headers, descriptor: int, representation: Representation
) -> Response:
    """Answer GET or HEAD with the open file; takes over ``descriptor``, whatever happens."""
    try:
        response, parts = decide(method, headers, representation)
        if not parts or method == "HEAD":
            os.close(descriptor)
            return response
    except BaseException:
        os.close(descriptor)
        raise
    response.body = read_parts(descriptor, parts)
    return response


def answer_bytes(
    method: str, headers: Headers, data: bytes, representation: Representation
) -> Response:
    """Answer GET or HEAD with a file whose content is in memory."""
    response, parts = decide(method, headers, representation)
    if parts and method != "HEAD":
        response.body = b"".join(
            part if isinstance(part, bytes) else data[part.first : part.end] for part in parts
        )
    return response


def decide(
    method: str, headers: Headers, representation: Representation
) -> tuple[Response, list[bytes | ByteRange]]:
    """Return the head of the answer and the parts of the file that follow. Pure."""
    etag, modified, size = representation.etag, representation.modified, representation.size
    verdict = evaluate(method, headers, etag, modified)
    if verdict is Verdict.FAILED:
        return Response(412, Headers(representation.validators())), []
    if verdict is Verdict.NOT_MODIFIED:
        return Response(304, Headers(representation.validators())), []
    asked = headers.get(b"range") if method == "GET" else None  # §14.2: only GET has ranges
    if asked is not None and range_applies(headers, etag, modified):
        try:
            ranges = parse_ranges(asked, size)
        except Unsatisfiable as error:
            fields = [*representation.validators(), (b"content-range", error.content_range)]
            return Response(416, Headers(fields)), []
        if ranges is not None:
            return _partial(representation, ranges)
    parts: list[bytes | ByteRange] = [ByteRange(0, size)] if size else []
    return Response(200, representation.whole()), parts


def _partial(
    representation: Representation, ranges: list[ByteRange]
) -> tuple[Response, list[bytes | ByteRange]]:
    headers, size = representation.whole(), representation.size
    if len(ranges) == 1:
        headers.set(b"content-length", b"%d" % len(ranges[0]))
        headers.add(b"content-range", ranges[0].content_range(size))
        return Response(206, headers), [ranges[0]]
    boundary = secrets.token_hex(16).encode()
    parts: list[bytes | ByteRange] = []
    for part in ranges:
        parts.append(multipart_head(boundary, part, size, representation.content_type))
        parts.append(part)
    parts.append(multipart_tail(boundary))
    headers.set(b"content-type", b"multipart/byteranges; boundary=" + boundary)
    headers.set(b"content-length", b"%d" % sum(map(len, parts)))
    return Response(206, headers), parts


def read_parts(descriptor: int, parts: list[bytes | ByteRange]) -> AnyBody:
    """Return the parts as bytes when that costs neither a disk read nor much memory, else pulled."""
    part = parts[0]
    if (
        len(parts) == 1
        and isinstance(part, ByteRange)
        and len(part) <= WHOLE_READ
        and is_resident(descriptor, part.end - 1)
    ):
        data = os.pread(descriptor, len(part), part.first)
        if len(data) == len(part):
            os.close(descriptor)
            return data
    return FileBody(descriptor, parts)
