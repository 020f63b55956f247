"""Answers ACME's HTTP-01 questions (RFC 8555 §8.3), whichever edge the authority reaches.

The certs room puts open challenges on the bus; this process keeps the few that are open in memory.
A token nobody opened is no business of ours: the request goes on to the routes, and strangers who
guess cost one dictionary look-up.
"""

from __future__ import annotations

from typing import Final

from quantum.bus.api import Bus, Entry, Subscription
from quantum.bus.subjects import CHALLENGES, ChallengeOpened, key_of
from quantum.http.headers import Headers
from quantum.http.message import Request, Response

PREFIX: Final = "/.well-known/acme-challenge/"


class ChallengeAnswers:
    """The open challenges. ``answer`` belongs before the routes of every plain HTTP server."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._open: dict[str, ChallengeOpened] = {}
        self._watch: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen. BusUnavailable when there is no bus yet: call again later."""
        bucket = await self._bus.bucket(CHALLENGES)
        self._watch = await bucket.watch(self._on_entry)

    async def aclose(self) -> None:
        """Stop listening. Idempotent."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.aclose()

    def answer(self, request: Request) -> Response | None:
        """Return the key authorization when the request asks for an open challenge, else None."""
        if not self._open or not request.path.startswith(PREFIX):
            return None
        challenge = self._open.get(key_of(request.path.removeprefix(PREFIX)))
        if challenge is None or request.method not in {"GET", "HEAD"}:
            return None
        headers = Headers([(b"content-type", b"text/plain"), (b"cache-control", b"no-store")])
        return Response(200, headers, challenge.key_authorization.encode())

    async def _on_entry(self, entry: Entry[ChallengeOpened]) -> None:
        if entry.value is None:
            self._open.pop(entry.key, None)
        else:
            self._open[entry.key] = entry.value
