"""When authorities would like their certificates renewed (ARI, RFC 9773): asked now and then, kept by name."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from quantum.clock import Clock
from services.certs.issuers.api import IssuanceFailed, Issuer
from services.certs.material import Material

AGAIN_SECONDS = 6 * 3600.0
"""Between two questions where the authority does not say (RFC 9773 §4.3.3)."""
LEAST_SECONDS = 60.0
"""Between two questions whatever it says: §4.3.2 lets clients bound it."""


@dataclass(frozen=True)
class Suggestion:
    """A moment within the window that the authority suggested, None when it suggests nothing."""

    moment: datetime.datetime | None
    ask_again: datetime.datetime


class Suggestions:
    """What was suggested for each certificate in use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, Suggestion]] = {}

    def moment(self, name: str, material: Material) -> datetime.datetime | None:
        """Return when ``material`` should be renewed, None when nobody said."""
        fingerprint, suggestion = self._known.get(name, ("", None))
        fits = fingerprint == material.fingerprint and suggestion is not None
        return suggestion.moment if fits and suggestion is not None else None

    def is_due(self, name: str, material: Material) -> bool:
        """Whether it is time to ask; asking is then the caller's to begin, once."""
        fingerprint, suggestion = self._known.get(name, ("", None))
        now = self._clock.now()
        if fingerprint == material.fingerprint and suggestion and now < suggestion.ask_again:
            return False
        moment = suggestion.moment if suggestion and fingerprint == material.fingerprint else None
        again = now + datetime.timedelta(seconds=AGAIN_SECONDS)
        self._known[name] = material.fingerprint, Suggestion(moment, again)
        return True

    async def ask(self, name: str, material: Material, issuer: Issuer) -> None:
        """Ask ``issuer``; what fails changes nothing, and is asked again in some hours."""
        try:
            moment, seconds = await issuer.suggest(material)
        except IssuanceFailed:
            return
        now = self._clock.now()
        again = now + datetime.timedelta(seconds=max(LEAST_SECONDS, seconds))
        self._known[name] = material.fingerprint, Suggestion(moment, again)

    def forget(self, name: str) -> None:
        """Drop what was suggested for a name that has no certificate any more."""
        self._known.pop(name, None)
