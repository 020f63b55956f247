"""What the proxy tells the rest of the program at once: that an upstream fails, that it works again."""

from __future__ import annotations

import asyncio

from quantum.bus.api import Bus
from quantum.bus.subjects import UPSTREAM_OBSERVED, UpstreamObserved
from quantum.ids import PROCESS_ID
from quantum.tasks import TaskSet

QUIET_SECONDS = 1.0
"""At most one report of a failing upstream per second: the health room needs to know, not to count."""


class Observations:
    """Publishes that an upstream fails, and that it works again. Never waits, never fails a request.

    ``failing`` holds those that were reported: only for them does a success say anything new.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.failing: dict[str, float] = {}
        self._tasks = TaskSet("proxy:observations")

    def failed(self, address: str, reason: str) -> None:
        """Report a failure, unless one was reported a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self.failing.get(address, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self.failing[address] = now
        self._publish(address, "failed", reason)

    def succeeded(self, address: str) -> None:
        """Report that an upstream which failed has answered."""
        if self.failing.pop(address, None) is not None:
            self._publish(address, "ok", "")

    def _publish(self, address: str, outcome: str, reason: str) -> None:
        fact = UpstreamObserved(
            process=PROCESS_ID, upstream=address, outcome=outcome, reason=reason
        )  # fmt: skip
        self._tasks.start(self._bus.publish(UPSTREAM_OBSERVED, fact))

    async def aclose(self) -> None:
        """Drop what is still being published."""
        await self._tasks.aclose()
