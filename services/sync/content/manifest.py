"""The chunks that make up a content, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing."""

_RECORD = 36
"""Bytes of one chunk in the stored form: its SHA-256 and its size."""

Chunk = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A content: its SHA-256, its size, its chunks as (hash, size)."""

    hash: str
    size: int
    chunks: tuple[Chunk, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what the interface shows."""
        return {"hash": self.hash, "size": self.size, "chunks": [list(c) for c in self.chunks]}

    def encode(self) -> bytes:
        """Return the stored form."""
        return b"".join(bytes.fromhex(h) + size.to_bytes(4, "big") for h, size in self.chunks)

    @classmethod
    def decode(cls, hash: str, data: bytes) -> Manifest:
        """Return what ``encode`` wrote; ValueError when it was cut off."""
        if len(data) % _RECORD:
            raise ValueError("the list of chunks is cut off")
        chunks = tuple(
            (data[at : at + 32].hex(), int.from_bytes(data[at + 32 : at + _RECORD], "big"))
            for at in range(0, len(data), _RECORD)
        )
        return cls(hash, sum(size for _, size in chunks), chunks)

    @classmethod
    def of_one(cls, hash: str, size: int) -> Manifest:
        """Return the manifest of a content that is one chunk, or none when it is empty."""
        return cls(hash, size, ((hash, size),) if size else ())
