"""HTTP-01 (RFC 8555 §8.3): the answer goes to the CHALLENGES bucket, and every edge serves it from there."""

from __future__ import annotations

from acme import challenges

from quantum.bus.api import Bus
from quantum.bus.subjects import CHALLENGES, ChallengeOpened, key_of
from quantum.clock import Clock
from quantum.errors import BusUnavailable

PROPAGATION_SECONDS = 0.5
"""Pause between telling the edges and telling the authority: a bus delivers in milliseconds."""


class HttpProof:
    """A Proof."""

    kind = challenges.HTTP01
    seconds = PROPAGATION_SECONDS

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def show(self, name: str, challenge: challenges.HTTP01, validation: str) -> None:
        """Tell every edge; BusUnavailable."""
        token = challenge.encode("token")
        opened = ChallengeOpened(token=token, key_authorization=validation, name=name)
        bucket = await self._bus.bucket(CHALLENGES)
        await bucket.put(key_of(token), opened)
        await self._clock.sleep(PROPAGATION_SECONDS)

    async def hide(self, name: str, challenge: challenges.HTTP01, validation: str) -> str:
        """Tell them that it is over; what the bus cannot take now ends with the bucket's time to live."""
        try:
            bucket = await self._bus.bucket(CHALLENGES)
            await bucket.delete(key_of(challenge.encode("token")))
        except BusUnavailable as error:
            return str(error)
        return ""
