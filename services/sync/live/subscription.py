"""What a subscription of protocol 2 remembers: who, what of it, and how far."""

from __future__ import annotations

from quantum.bus.subjects import ShareOperation
from services.sync.access.patterns import Matches
from services.sync.access.tokens import Principal
from services.sync.rules.operations import paths_of


class Subscription:
    """One client's place in the log. ``sent`` and ``applied`` are sequences."""

    __slots__ = (
        "applied", "handed", "is_live", "matches", "principal", "sent", "session", "skipped",
    )  # fmt: skip

    def __init__(
        self, session: str, principal: Principal, matches: Matches | None, sent: int
    ) -> None:
        self.session = session
        self.principal = principal
        self.matches = matches
        self.sent = sent
        self.applied = sent
        self.handed = sent
        """The last sequence that was handed to the connection, and did not only wait for it."""
        self.is_live = False
        """Whether it hears of operations as they come; until then it reads the past."""
        self.skipped = 0
        """The last sequence that was not sent, since nothing of it matched."""

    def wants(self, entry: ShareOperation) -> bool:
        """Whether an operation is to be sent."""
        if self.matches is None and self.principal.sees_all:
            return True
        paths = paths_of(entry.operation)
        if not any(self.principal.sees(path) for path in paths):
            return False
        return self.matches is None or any(self.matches(path) for path in paths)
