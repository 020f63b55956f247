"""What a round tells whoever watches: numbers for people, and what could not be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from services.sync.client.planning.actions import Action, Plan


class Progress(Protocol):
    """Hears of the work as it is done."""

    def planned(self, plan: Plan) -> None:
        """A round begins."""

    def moved_bytes(self, count: int) -> None:
        """Bytes were transferred, in either direction."""

    def spared_bytes(self, count: int) -> None:
        """Bytes of a transfer were there already and did not travel."""

    def did(self, action: Action) -> None:
        """A step is done."""

    def failed(self, action: Action, problem: str) -> None:
        """A step was not possible; it is planned anew."""


class Silent:
    """Tells nobody."""

    def planned(self, plan: Plan) -> None:
        """Ignore."""

    def moved_bytes(self, count: int) -> None:
        """Ignore."""

    def spared_bytes(self, count: int) -> None:
        """Ignore."""

    def did(self, action: Action) -> None:
        """Ignore."""

    def failed(self, action: Action, problem: str) -> None:
        """Ignore."""


@dataclass
class Outcome:
    """What is left after a sync."""

    done: int = 0
    rounds: int = 0
    blocked: dict[str, str] = field(default_factory=dict)
    """Paths that cannot be synced as things are, with the reason."""
    skipped: dict[str, str] = field(default_factory=dict)
    """What never takes part, with the reason."""
    unknown: dict[str, str] = field(default_factory=dict)
    """What could not be read, with the reason."""
    held: dict[str, str] = field(default_factory=dict)
    """What differs and is left alone because of the mode."""
    conflicts: list[str] = field(default_factory=list)
    """Conflict copies that were made."""

    @property
    def is_clean(self) -> bool:
        """Whether both sides are equal now, as far as the mode wants it."""
        return not self.blocked and not self.unknown


_: type[Progress] = Silent
