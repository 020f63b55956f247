"""What managers gave: kept for a while, asked for again while it is served."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from quantum.clock import Clock
from services.certs.issuers.api import IssuanceFailed
from services.certs.material import Material
from services.certs.ondemand.managers import Manager

FRESH_SECONDS = 300.0
"""How long an answer counts: a manager's renewal arrives well before the old certificate ends."""
MAX_NAMES = 10_000
"""Certificates of managers in memory, as many as Caddy's cache; the oldest is asked for again."""


@dataclass(frozen=True)
class _Given:
    material: Material
    until: float


class ManagedCertificates:
    """The certificates of managers, by name. One question for a name at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: OrderedDict[str, _Given] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    def find(self, name: str) -> Material | None:
        """Return what is kept for ``name``, however old."""
        given = self._given.get(name)
        return given.material if given is not None else None

    async def get(self, name: str, managers: Sequence[Manager]) -> Material | None:
        """Return the certificate of the first manager that has one, None when none has.

        IssuanceFailed: a manager should have one and gives none; what it gave before stays while it lasts.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                given = self._given.get(name)
                if given is not None and self._clock.monotonic() < given.until:
                    return given.material
                return await self._ask(name, managers, given)
        finally:
            if not lock.locked():
                self._locks.pop(name, None)

    def due(self) -> list[str]:
        """Return the names whose answers are old."""
        now = self._clock.monotonic()
        return [name for name, given in self._given.items() if now >= given.until]

    def all(self) -> dict[str, Material]:
        """Return everything that is kept."""
        return {name: given.material for name, given in self._given.items()}

    def clear(self) -> None:
        """Forget everything: other managers may be asked now."""
        self._given.clear()

    async def _ask(
        self, name: str, managers: Sequence[Manager], before: _Given | None
    ) -> Material | None:
        until = self._clock.monotonic() + FRESH_SECONDS
        for manager in managers:
            try:
                material = await manager.get(name)
            except IssuanceFailed:
                if before is None or before.material.not_after <= self._clock.now():
                    raise
                self._given[name] = _Given(before.material, until)
                return before.material
            if material is not None:
                self._given[name] = _Given(material, until)
                if len(self._given) > MAX_NAMES:
                    self._given.popitem(last=False)
                return material
        self._given.pop(name, None)
        return None
