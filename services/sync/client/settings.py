"""How a folder is synced: what the command line decides."""

from __future__ import annotations

from dataclasses import dataclass

from services.sync.client.planning.model import Mode

DEFAULT_PARALLEL = 16
"""Transfers at once: enough to fill a connection whose answers take ten times as long as the work."""

FIRST_RETRY, LONGEST_RETRY = 0.25, 30.0
"""Seconds between attempts while the server is away: the first one is not noticed by a person, the
last one is no load for a server that thousands of clients wait for."""

GUARD_SHARE = 0.5
"""Share of the synced files that one round may delete on one side without being confirmed."""

GUARD_MINIMUM = 10
"""Deletions that are always allowed: emptying a small folder is no accident worth a question."""


@dataclass(frozen=True)
class Settings:
    """The rules of one folder."""

    client: str
    mode: Mode = Mode.TWO_WAY
    parallel: int = DEFAULT_PARALLEL
    guard_share: float = GUARD_SHARE
    guard_minimum: int = GUARD_MINIMUM
    confirm_deletes: bool = False
