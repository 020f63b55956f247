"""What can go wrong with one attempt at an upstream."""

from __future__ import annotations

import enum

from quantum.errors import QuantumError


class Stage(enum.Enum):
    """How far an attempt came before it failed: what may be done again depends on it."""

    DIAL = "dial"
    """No connection: the upstream has seen nothing."""
    STALE = "stale"
    """A kept connection was closed before any byte of the answer: most likely unseen."""
    SENT = "sent"
    """The request, or a part of it, may have been processed."""


class UpstreamFailed(QuantumError):
    """An attempt without an answer. ``status`` is what the client gets if it was the last: 502 or 504.

    ``address`` is the upstream's, set by who knows it.
    """

    def __init__(self, stage: Stage, reason: str, status: int = 502) -> None:
        super().__init__(stage, reason, status)
        self.stage = stage
        self.reason = reason
        self.status = status
        self.address = ""

    def __str__(self) -> str:
        return self.reason
