"""What every issuer is and what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.errors import QuantumError
from quantum.modules.config import ModuleConfig
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.material import Material, PrivateKey


class IssuanceFailed(QuantumError):
    """No certificate this time. ``ordered`` says whether the authority was asked for one already."""

    def __init__(self, reason: str, *, ordered: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ordered = ordered


class Issuer(Protocol):
    """Makes certificates."""

    @property
    def key(self) -> str:
        """The folder name under which its certificates are kept."""

    @property
    def is_prompt(self) -> bool:
        """Whether it answers at once, so that a handshake may wait for it."""

    def recognises(self, material: Material) -> bool:
        """Whether stored material still leads to this authority's root. Blocks on the disk."""

    async def issue(self, name: str, key_type: str, key: PrivateKey | None = None) -> Material:
        """Return new material for one name, for ``key`` or a new one; IssuanceFailed or OSError when there is none."""

    async def suggest(self, material: Material) -> tuple[datetime | None, float]:
        """Return when the authority would like ``material`` renewed, and in how many seconds to ask again.

        None: whenever we like. IssuanceFailed: it cannot be asked now.
        """


@dataclass(frozen=True)
class Surroundings:
    """What an issuer may use: ``Issuer(config, surroundings)``. ``authority`` is that of an id.

    ``dns`` and ``resolvers``: the DNS provider and name servers of issuers that name none.
    """

    storage: Storage
    clock: Clock
    bus: Bus
    log: structlog.stdlib.BoundLogger
    authority: Callable[[str], Authority]
    dns: ModuleConfig | None = None
    resolvers: Sequence[str] = ()
