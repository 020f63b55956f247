"""What bodies became, for those that come again: the same page is compressed once.

A body is known by its bytes, so nothing can be out of date, whoever answers. It is kept when it comes
the second time: bodies that are new each time (most of an API's) cost their hash, a twentieth of what
compressing them costs, and push nothing out.
"""

from __future__ import annotations

from services.edge.encoding.encoders import Encoder

LARGEST = 256 * 1024
"""Bytes of the longest body kept; the file room sends no longer one in one piece."""
CAPACITY = 32 * 1024 * 1024
"""Bytes of bodies and what they became, for all ``encode`` handlers of a server."""
ENTRY_COST = 512
"""Bytes charged for an entry beside its content."""
ONCE_SEEN = 4096
"""Bodies remembered by their hash alone: what comes again after more than these counts as new."""

Key = tuple[Encoder, bytes]


class EncodedBodies:
    """Bounded; oldest out first. Python's hash of bytes is keyed: no client can make many collide."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: dict[Key, bytes] = {}
        self._cost = 0
        self._seen: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def cost(self) -> int:
        """Bytes charged for all entries."""
        return self._cost

    def get(self, encoder: Encoder, body: bytes) -> bytes | None:
        """Return what ``encoder`` made of ``body``."""
        return self._entries.get((encoder, body)) if len(body) <= LARGEST else None

    def met(self, encoder: Encoder, body: bytes, encoded: bytes) -> None:
        """Keep what was made, if that body was met before."""
        if len(body) > LARGEST:
            return
        key = encoder, body
        mark = hash(key)
        if mark not in self._seen:
            self._seen[mark] = None
            if len(self._seen) > ONCE_SEEN:
                del self._seen[next(iter(self._seen))]
            return
        del self._seen[mark]
        if key not in self._entries:
            self._entries[key] = encoded
            self._cost += _cost(body, encoded)
        while self._cost > self._capacity:
            (_, oldest), made = next(iter(self._entries.items()))
            del self._entries[next(iter(self._entries))]
            self._cost -= _cost(oldest, made)


def _cost(body: bytes, encoded: bytes) -> int:
    return len(body) + len(encoded) + ENTRY_COST
