"""Who is traced: the fields ``traceparent`` and ``tracestate`` (W3C Trace Context, level 1)."""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

SAMPLED = 1
MAX_STATE = 512
"""Characters of ``tracestate`` that are passed on (§3.3.1.5)."""

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Parent(NamedTuple):
    """The span that a request comes from."""

    trace_id: str
    span_id: str
    sampled: bool


def read_parent(value: bytes | None) -> Parent | None:
    """Return what a ``traceparent`` says, None for one that is not to be used (§3.2.2)."""
    found = _PARENT.fullmatch(value) if value is not None else None
    if found is None or (found[1] == b"00" and found[5]):
        return None
    trace_id, span_id = found[2].decode(), found[3].decode()
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Parent(trace_id, span_id, bool(int(found[4], 16) & SAMPLED))


def traceparent(trace_id: str, span_id: str, *, sampled: bool) -> bytes:
    """Return the field for who comes next."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}".encode()


def new_trace_id() -> str:
    """Return a random trace id."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """Return a random span id."""
    return secrets.token_hex(8)
