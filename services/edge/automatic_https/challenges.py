"""Answers ACME's questions by HTTP-01 (RFC 8555 §8.3) and TLS-ALPN-01 (RFC 8737), whichever edge the authority reaches.

The certs room puts open challenges on the bus; this process keeps the few that are open in memory.
A token nobody opened is no business of ours: the request goes on to the routes, and strangers who
guess cost one dictionary look-up.
"""

from __future__ import annotations

import ssl
from typing import Final

import structlog

from quantum.bus.api import Bus, Entry, Subscription
from quantum.bus.subjects import CHALLENGES, ChallengeOpened, key_of
from quantum.clock import Clock
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.trust.acme_tls import proving_context, server_name_of

PREFIX: Final = "/.well-known/acme-challenge/"
BY_HTTP: Final = "http-01"
BY_TLS: Final = "tls-alpn-01"

_log = structlog.get_logger("quantum.edge")


class ChallengeAnswers:
    """The open challenges, and a FindProof.

    ``answer`` belongs before the routes of every plain HTTP server, ``context`` before the policies of
    every TLS port.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._open: dict[str, ChallengeOpened] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
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
        if challenge is None or challenge.kind != BY_HTTP or self._is_over(challenge):
            return None
        if request.method not in {"GET", "HEAD"}:
            return None
        headers = Headers([(b"content-type", b"text/plain"), (b"cache-control", b"no-store")])
        return Response(200, headers, challenge.key_authorization.encode())

    def context(self, server_name: str) -> ssl.SSLContext | None:
        """Return the TLS context that proves a name, None when its challenge is not open."""
        for key in reversed(self._contexts):  # the newest of several authorities
            challenge = self._open[key]
            if server_name_of(challenge.name) == server_name and not self._is_over(challenge):
                return self._contexts[key]
        return None

    def _is_over(self, challenge: ChallengeOpened) -> bool:
        return challenge.until is not None and self._clock.now() >= challenge.until

    async def _on_entry(self, entry: Entry[ChallengeOpened]) -> None:
        opened = entry.value
        self._forget(entry.key)
        for key in [key for key, challenge in self._open.items() if self._is_over(challenge)]:
            self._forget(key)
        if opened is None or self._is_over(opened):
            return
        if opened.kind == BY_TLS and not self._make_context(entry.key, opened):
            return
        self._open[entry.key] = opened

    def _make_context(self, key: str, opened: ChallengeOpened) -> bool:
        now = self._clock.now()
        try:
            made = proving_context(opened.name, opened.key_authorization, now, opened.until or now)
        except (OSError, ValueError) as error:
            _log.warning("challenge_unusable", name=opened.name, reason=str(error))
            return False
        self._contexts[key] = made
        return True

    def _forget(self, key: str) -> None:
        self._open.pop(key, None)
        self._contexts.pop(key, None)
