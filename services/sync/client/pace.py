"""A limit on bytes per second, shared by all transfers of a client."""

from __future__ import annotations

from quantum.clock import Clock

BURST_SECONDS = 0.25
"""How much of a second's bytes may pass at once after a pause: small files do not wait."""


class Pace:
    """Lets ``rate`` bytes per second pass on average; 0 is no limit."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0

    async def spend(self, count: int) -> None:
        """Wait until ``count`` bytes may pass."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - BURST_SECONDS) + count / self._rate
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)
