"""Proofs that edge serves: by HTTP (HTTP-01, RFC 8555 §8.3) and by TLS (TLS-ALPN-01, RFC 8737).

The answer goes to the CHALLENGES bucket, and every edge serves it from there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from acme import challenges

from quantum.bus.api import Bus
from quantum.bus.subjects import CHALLENGES, ChallengeOpened, key_of
from quantum.clock import Clock
from quantum.errors import BusUnavailable

PROPAGATION_SECONDS = 0.5
"""Pause between telling the edges and telling the authority: a bus delivers in milliseconds."""
OPEN_SECONDS: Final = CHALLENGES.ttl
"""How long an answer is served when nobody comes to hide it: as long as the bus keeps it."""


@challenges.ChallengeResponse.register
class TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    """What the authority is told: nothing but that it may look."""

    typ = "tls-alpn-01"


@challenges.Challenge.register
class TlsAlpn01(challenges.KeyAuthorizationChallenge):
    """The challenge (RFC 8737 §3), which the ACME library leaves to others."""

    response_cls = TlsAlpn01Response
    typ = response_cls.typ

    def validation(self, account_key: Any, **_: Any) -> str:
        """Return the key authorization."""
        return self.key_authorization(account_key)


class ServedProof:
    """A Proof of the kind HTTP01 or TlsAlpn01."""

    seconds = PROPAGATION_SECONDS

    def __init__(
        self, kind: type[challenges.KeyAuthorizationChallenge], bus: Bus, clock: Clock
    ) -> None:
        self.kind = kind
        self._bus = bus
        self._clock = clock

    async def show(
        self, name: str, challenge: challenges.KeyAuthorizationChallenge, validation: str
    ) -> None:
        """Tell every edge; BusUnavailable."""
        token = challenge.encode("token")
        opened = ChallengeOpened(
            token=token,
            key_authorization=validation,
            name=name,
            kind=self.kind.typ,
            until=self._clock.now() + timedelta(seconds=OPEN_SECONDS),
        )
        bucket = await self._bus.bucket(CHALLENGES)
        await bucket.put(key_of(token), opened)
        await self._clock.sleep(PROPAGATION_SECONDS)

    async def hide(
        self, name: str, challenge: challenges.KeyAuthorizationChallenge, validation: str
    ) -> str:
        """Tell them that it is over; what the bus cannot take now ends with the bucket's time to live."""
        try:
            bucket = await self._bus.bucket(CHALLENGES)
            await bucket.delete(key_of(challenge.encode("token")))
        except BusUnavailable as error:
            return str(error)
        return ""
