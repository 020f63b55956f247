"""What a DNS provider is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quantum.errors import QuantumError

TXT_TTL = 60
"""Seconds a record may be kept by resolvers when nothing is said: it is there for a minute or two."""


class ProviderFailed(QuantumError):
    """The zone could not be changed; the text says why and holds no credentials."""


@dataclass(frozen=True)
class TextRecord:
    """A TXT record. ``name`` and ``zone`` without the final dot; ``zone`` is "" where nobody needs it."""

    name: str
    value: str
    zone: str = ""
    ttl: int = TXT_TTL


class Provider(Protocol):
    """Changes zones: ``Provider(config)``."""

    @property
    def needs_zone(self) -> bool:
        """Whether records must say which zone they are in."""

    @property
    def holds_one(self) -> bool:
        """Whether there is room for one record only, so that proofs must take turns."""

    async def append(self, record: TextRecord) -> None:
        """Add the record beside others of its name; ProviderFailed."""

    async def remove(self, record: TextRecord) -> None:
        """Remove this record, others of its name stay; ProviderFailed."""
