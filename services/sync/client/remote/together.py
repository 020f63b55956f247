"""Many small changes, or many small contents, in one request: ``POST /api/batch`` and ``/api/fetch``.

A record is a line of JSON, then as many bytes as its ``size`` says.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from services.sync.client.planning.model import Node
from services.sync.client.remote.api import Fetched, Json, Write, Written


class Source(Protocol):
    """The body of an answer."""

    async def readline(self) -> bytes:
        """Return the next line; b"" at the end."""

    async def readexactly(self, n: int) -> bytes:
        """Return so many bytes; IncompleteReadError when there are fewer."""


def encode_writes(writes: Sequence[Write], op_ids: Sequence[str]) -> bytes:
    """Return the body that asks for some writes."""
    parts: list[bytes] = []
    for write, op_id in zip(writes, op_ids, strict=True):
        facts: Json = {"path": write.path, "op_id": op_id}
        if write.node is None:
            facts["kind"] = "delete"
        elif write.node.is_directory:
            facts["kind"] = "directory"
        else:
            facts |= {"size": write.node.size, "hash": write.node.hash}
        facts |= _condition(write)
        line = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
        parts += (line, b"\n", write.data)
    return b"".join(parts)


def encode_chunks(pieces: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the body that hands over some chunks."""
    parts: list[bytes] = []
    for name, data in pieces:
        parts += (f'{{"hash":"{name}","size":{len(data)}}}\n'.encode(), data)
    return b"".join(parts)


def _condition(write: Write) -> Json:
    if write.expect is None:
        is_file = write.node is not None and not write.node.is_directory
        return {"if_none_match": "*"} if is_file else {}
    return {} if write.expect.is_directory else {"if_match": write.expect.hash}


def written(result: Json, log: str) -> Written:
    """Return what a successful result says, in an answer from ``log``."""
    seq = int(result.get("seq") or 0)
    return Written(seq, log=log) if seq else Written(int(result.get("version") or 0))


async def read_contents(source: Source) -> AsyncIterator[tuple[Json, bytes]]:
    """Yield the records of an answer to ``/api/fetch``."""
    while line := await source.readline():
        facts: Any = json.loads(line)
        yield facts, await source.readexactly(int(facts.get("size", 0)))


def fetched(facts: Json, data: bytes) -> Fetched:
    """Return a content that was sent."""
    node = Node(False, str(facts["hash"]), len(data))
    return Fetched(node, data, int(facts.get("version") or 0))
