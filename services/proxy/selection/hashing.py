"""Rendezvous hashing (highest random weight): no ring, no state, minimal movement.

As Caddy does it, to the bit: a key has the same upstream in both, so caches and sessions behind a fleet stay
where they are while it moves from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh64_intdigest

from services.proxy.upstreams import Member


def rendezvous(members: Sequence[Member], key: str) -> Member:
    """Return the member with the highest score for ``key``: xxhash64 of address and key."""
    data = key.encode("utf-8", "surrogateescape")
    return max(members, key=lambda member: xxh64_intdigest(member.address.encode() + data))
