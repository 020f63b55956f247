"""What a proof is, which ones an issuer's configuration allows, and which is tried first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from acme import challenges

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.errors import QuantumError
from quantum.modules.config import ModuleConfig
from services.certs.challenges.config import Challenges
from services.certs.challenges.served import ServedProof, TlsAlpn01

REMEMBERED_NAMES = 10_000
"""Names whose way of proving is remembered: as many as Caddy keeps certificates in memory."""


class ProofFailed(QuantumError):
    """It cannot be shown; the authority was not asked to look."""


class Proof(Protocol):
    """One kind of challenge, met. ``kind``: its class in the ACME library; ``seconds``: what showing may take."""

    @property
    def kind(self) -> Any:
        """The class of challenge."""

    @property
    def seconds(self) -> float:
        """How long ``show`` may take at most."""

    async def show(self, name: str, challenge: Any, validation: str) -> None:
        """Return when the authority can see it; ProofFailed or BusUnavailable."""

    async def hide(self, name: str, challenge: Any, validation: str) -> str:
        """Undo ``show``, however far it came; return why it could not, "" if it could."""


class Proofs:
    """Those of one issuer. What worked comes first: for the same name, else for the last one.

    Before anything worked the order is that of ``proofs``.
    """

    def __init__(self, *proofs: Proof) -> None:
        self._proofs = list(proofs)
        self._worked: OrderedDict[str, Proof] = OrderedDict()

    def for_name(self, name: str) -> list[Proof]:
        """Return all, the one to try first first; the list is the caller's."""
        return sorted(self._proofs, key=lambda proof: proof is not self._worked.get(name))

    def remember(self, name: str, proof: Proof) -> None:
        """Hear that the authority took ``proof``."""
        self._proofs.sort(key=lambda other: other is not proof)
        self._worked.pop(name, None)
        self._worked[name] = proof
        if len(self._worked) > REMEMBERED_NAMES:
            self._worked.popitem(last=False)


def make_proofs(
    config: Challenges,
    bus: Bus,
    clock: Clock,
    provider: ModuleConfig | None = None,
    resolvers: Sequence[str] = (),
) -> Proofs:
    """Return the proofs that ``config`` allows; ``provider`` and ``resolvers``: what the tls app says of DNS.

    ValueError: it leaves no way to prove a name. OSError: a file of the provider that cannot be read.
    """
    if config.dns is not None:
        from services.certs.challenges.dns import DnsProof  # late: few configurations need it

        return Proofs(DnsProof(config.dns, clock, provider, resolvers))
    kinds = [
        kind
        for kind, challenge in ((challenges.HTTP01, config.http), (TlsAlpn01, config.tls_alpn))
        if not challenge.disabled
    ]
    if not kinds:
        raise ValueError("with http and tls-alpn disabled only dns is left: set challenges.dns")
    return Proofs(*(ServedProof(kind, bus, clock) for kind in kinds))
