"""Conditional requests: what the preconditions of a request say about a representation.

Pure: validators in, verdict out, in the order of RFC 9110 §13.2.2. An entity tag is compared as the
bytes between and including its quotes.
"""

from __future__ import annotations

import enum

from quantum.http.files.dates import parse_date
from quantum.http.headers import Headers

PRECONDITIONS = frozenset(
    {
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
    }
)
"""Fields that can change the answer to a GET; without any of them the whole is sent."""


class Verdict(enum.Enum):
    """What to do with the request."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


def evaluate(
    method: str,
    headers: Headers,
    etag: bytes | None,
    modified: int | None,
    *,
    exists: bool = True,
) -> Verdict:
    """Evaluate all preconditions but If-Range.

    ``etag`` is the current entity tag (None: it has none), ``modified`` the Unix time in seconds of
    the last change (None: unknown); with ``exists`` False there is no current representation.
    FAILED is answered by 412, NOT_MODIFIED (only for GET and HEAD) by 304.
    """
    is_read = method in {"GET", "HEAD"}
    wanted = headers.joined(b"if-match")
    if wanted is not None:
        if not _matches(wanted, etag, exists=exists, weakly=False):
            return Verdict.FAILED
    elif not _is_unmodified(headers.get(b"if-unmodified-since"), modified):
        return Verdict.FAILED
    unwanted = headers.joined(b"if-none-match")
    if unwanted is not None:
        if _matches(unwanted, etag, exists=exists, weakly=True):
            return Verdict.NOT_MODIFIED if is_read else Verdict.FAILED
        return Verdict.PROCEED
    if is_read and exists and _is_fresh(headers.get(b"if-modified-since"), modified):
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_applies(headers: Headers, etag: bytes | None, modified: int | None) -> bool:
    """Whether Range is to be obeyed: If-Range is absent, or names exactly this version (§13.1.5)."""
    condition = headers.get(b"if-range")
    if condition is None:
        return True
    if condition.startswith((b'"', b"W/")):
        return etag is not None and condition == etag and not etag.startswith(b"W/")
    date = parse_date(condition)
    return date is not None and date == modified


def _is_unmodified(value: bytes | None, modified: int | None) -> bool:
    limit = None if value is None else parse_date(value)
    return limit is None or modified is None or modified <= limit


def _is_fresh(value: bytes | None, modified: int | None) -> bool:
    limit = None if value is None else parse_date(value)
    return limit is not None and modified is not None and modified <= limit


def _matches(value: bytes, etag: bytes | None, *, exists: bool, weakly: bool) -> bool:
    if value.strip() == b"*":
        return exists
    if etag is None or not exists:
        return False
    if weakly:
        opaque = etag.removeprefix(b"W/")
        return any(tag.removeprefix(b"W/") == opaque for tag in entity_tags(value))
    return not etag.startswith(b"W/") and etag in entity_tags(value)


def entity_tags(value: bytes) -> list[bytes]:
    """Return the tags of a list; what follows a syntax error is ignored, as net/http does."""
    tags: list[bytes] = []
    position, size = 0, len(value)
    while position < size:
        if value[position] in b" \t,":
            position += 1
            continue
        start = position
        if value.startswith(b"W/", position):
            position += 2
        if position >= size or value[position] != 0x22:
            break
        end = value.find(b'"', position + 1)
        if end < 0:
            break
        tags.append(value[start : end + 1])
        position = end + 1
    return tags
