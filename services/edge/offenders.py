"""Clients whose connections are cut for floods, one after the other: for a while they get no new one.

A connection that is cut costs its attacker nothing but another connect. Who was cut again and again is
refused before TLS or a codec are made for it. Addresses that stand for many are never refused: those
that are not of the public internet, and trusted proxies.
"""

from __future__ import annotations

from collections.abc import Callable

from quantum.wire.allowance import Allowance

FLOODS = frozenset({"h2_resets", "h2_frames", "h2_heads", "h3_resets", "h3_frames"})
"""Limits that no honest client reaches twice; slowness and mistakes are none of them."""
CUTS = (5, 0.5)
"""Floods of one client at once, and more per second, before it is refused: a broken program behind a
shared address is cut some times before its neighbours notice."""
REFUSED_SECONDS = 10.0
"""For how long: it makes of hundreds of cuts a second less than one, and an address that has a new
owner is free soon."""
OFFENDERS_REMEMBERED = 4096
"""Clients in the table; the one that was added first goes first."""


class Offenders:
    """The table of one process."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` in seconds, of a clock that is never set back."""
        self._now = now
        self._cuts: dict[str, Allowance] = {}
        self._refused: dict[str, float] = {}

    def was_cut(self, client: str) -> None:
        """Note that a connection of ``client`` was cut for a flood."""
        now = self._now()
        cuts = self._cuts.get(client)
        if cuts is None:
            cuts = self._cuts[client] = Allowance(*CUTS, now)
            if len(self._cuts) > OFFENDERS_REMEMBERED:
                oldest = next(iter(self._cuts))
                del self._cuts[oldest]
                self._refused.pop(oldest, None)
        if not cuts.spend(now):
            del self._cuts[client]
            self._cuts[client] = cuts  # the latest offender is forgotten last
            self._refused[client] = now + REFUSED_SECONDS

    def refuses(self, client: str) -> bool:
        """Whether ``client`` gets no connection now."""
        until = self._refused.get(client) if self._refused else None
        if until is None:
            return False
        if self._now() < until:
            return True
        del self._refused[client]
        return False
