"""Rendezvous hashing (highest random weight): no ring, no state, minimal movement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.proxy.upstreams import Member


def rendezvous(members: Sequence[Member], key: str) -> Member:
    """Return the member with the highest score for ``key``."""
    data = key.encode("utf-8", "surrogateescape")
    return max(members, key=lambda member: _score(member.address, data))


def _score(address: str, key: bytes) -> bytes:
    """Score one pair. Keyed by the address, so that addresses and keys cannot run into each other."""
    name = hashlib.blake2b(address.encode(), digest_size=16).digest()
    return hashlib.blake2b(key, digest_size=8, key=name).digest()
