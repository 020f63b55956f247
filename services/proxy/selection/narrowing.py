"""Whom a policy may choose from, where upstreams are not all equal: backups and zones.

Pure: the same members and the same zone give the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.proxy.upstreams import Member


def without_backups(available: Iterable[Member]) -> tuple[Member, ...]:
    """Return the members that are no backups; the backups where there is nobody else."""
    members = tuple(available)
    return tuple(m for m in members if not m.is_backup) or members


def in_zone(
    available: tuple[Member, ...], everybody: Sequence[Member], zone: str, min_available: float
) -> tuple[Member, ...]:
    """Return the members of ``zone`` while enough of them are there, else all.

    ``min_available``: the share of the zone's members that must be available for them to take all requests.
    """
    near = tuple(m for m in available if m.zone == zone)
    total = sum(m.zone == zone and not m.is_backup for m in everybody)
    if not near or len(near) < min_available * total:
        return available
    return near
