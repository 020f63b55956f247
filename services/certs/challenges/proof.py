"""What a proof is, and which one an issuer's configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.errors import QuantumError
from quantum.modules.config import ModuleConfig
from services.certs.challenges.config import Challenges
from services.certs.challenges.http import HttpProof


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


def make_proof(
    config: Challenges,
    bus: Bus,
    clock: Clock,
    provider: ModuleConfig | None = None,
    resolvers: Sequence[str] = (),
) -> Proof:
    """Return the proof that ``config`` asks for; ``provider`` and ``resolvers``: what the tls app says of DNS.

    ValueError: it leaves no way to prove a name. OSError: a file of the provider that cannot be read.
    """
    if config.dns is not None:
        from services.certs.challenges.dns import DnsProof  # late: few configurations need it

        return DnsProof(config.dns, clock, provider, resolvers)
    if config.http.disabled:
        raise ValueError("with http disabled only dns is left: set challenges.dns")
    return HttpProof(bus, clock)
