"""Many contents in one body: a line of JSON, then as many bytes as its ``size`` says; and so on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantum.http.body import AnyBody
from services.sync.protocol import LARGEST_PATH, OpId

LARGEST_TOGETHER = 1024 * 1024
"""Bytes of one content among others: what is larger gains nothing by company."""

LARGEST_LINE = 64 * 1024
"""Bytes of a record's line: the longest path escaped, and its conditions."""

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Tag = Annotated[str, Field(pattern=r"^(\*|v[0-9]{1,18}|[0-9a-f]{64})$")]


class Sized(BaseModel):
    """A line that is followed by ``size`` bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    size: int = Field(default=0, ge=0, le=LARGEST_TOGETHER)


R = TypeVar("R", bound=Sized)


class Piece(Sized):
    """One chunk, named by its SHA-256."""

    hash: _Hash


class Record(Sized):
    """What a writer asks for one path; ``size`` bytes of content follow (0 but for files)."""

    path: str = Field(min_length=1, max_length=LARGEST_PATH)
    kind: Literal["file", "directory", "delete"] = "file"
    hash: _Hash | None = None
    modified: str | None = Field(default=None, max_length=64)
    if_match: _Tag | None = None
    if_none_match: Literal["*"] | None = None
    base: int | None = Field(default=None, ge=0)
    on_conflict: Literal["refuse", "copy"] = "refuse"
    recursive: bool = False
    op_id: OpId | None = None


class RecordsBroken(Exception):
    """A body that is no row of records; what came before the bad one counts."""


async def read_records(body: AnyBody, kind: type[R]) -> AsyncIterator[tuple[R, bytes]]:
    """Yield the records of a body as they come, each with its content; RecordsBroken."""
    source = _once(body) if isinstance(body, bytes) else body
    buffer = bytearray()
    number = 0
    while True:
        end = buffer.find(b"\n")
        while end < 0:
            if len(buffer) > LARGEST_LINE:
                raise RecordsBroken(f"record {number}: its line has more than {LARGEST_LINE} bytes")
            chunk = await anext(source, b"")
            if not chunk:
                if buffer:
                    raise RecordsBroken(f"record {number}: the body ends in its line")
                return
            start = len(buffer)
            buffer += chunk
            end = buffer.find(b"\n", start)
        record = _parse(number, bytes(buffer[:end]), kind)
        del buffer[: end + 1]
        while len(buffer) < record.size:
            chunk = await anext(source, b"")
            if not chunk:
                raise RecordsBroken(f"record {number}: the body ends in its content")
            buffer += chunk
        with memoryview(buffer) as view:
            content = bytes(view[: record.size])
        yield record, content
        del buffer[: record.size]
        number += 1


def encode_record(facts: dict[str, Any], content: bytes = b"") -> bytes:
    """Return a record as it is sent."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" + content


def _parse(number: int, line: bytes, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordsBroken(f"record {number}: {place}: {first['msg']}") from None


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
