"""What a process is doing: read by the ops endpoint, written by the runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.ids import PROCESS_ID
from quantum.service.api import State


class Status:
    """The states of the process and of its rooms."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.phase = State.STARTING
        self.rooms: dict[str, State] = {}
        self.awaits = "start"
        self.revision: Callable[[], str | None] = lambda: None
        self.bus_connected: Callable[[], bool] = lambda: False

    def obstacles(self) -> list[str]:
        """Return why the process should get no traffic; empty when it should."""
        reasons = []
        if self.phase is State.STARTING:
            reasons.append(f"starting: {self.awaits}")
        elif self.phase is not State.RUNNING:
            reasons.append(self.phase.value)
        reasons += [
            f"room {room} is {state.value}"
            for room, state in sorted(self.rooms.items())
            if state is not State.RUNNING
        ]
        return reasons

    def describe(self) -> dict[str, Any]:
        """Return what ``/services`` shows."""
        return {
            "process": PROCESS_ID,
            "version": self.version,
            "state": self.phase.value,
            "rooms": {room: state.value for room, state in sorted(self.rooms.items())},
            "revision": self.revision(),
            "bus": "connected" if self.bus_connected() else "away",
        }
