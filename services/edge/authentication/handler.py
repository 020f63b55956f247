"""``http.handlers.authentication``: who is known to one of the providers goes on, others get 401."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quantum.errors import HttpError
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.response_fields import early_fields
from quantum.modules.lifetime import Provision
from services.edge.authentication.comparing import Comparisons
from services.edge.authentication.config import AuthenticationConfig

SCOPE = "http.auth."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a provider found: the ``user``, or the ``challenge`` for a client that it does not know."""

    user: str | None = None
    challenge: bytes = b""


class Provider(Protocol):
    """Knows some users."""

    async def authenticate(self, request: Request) -> Verdict:
        """Say who is asking. HttpError when it cannot be found out now; ValueError when never."""


class Authentication:
    """Asks the providers in order until one knows the client."""

    def __init__(self, config: AuthenticationConfig, provision: Provision) -> None:
        if Comparisons not in provision.resources:
            comparisons = provision.resources[Comparisons] = Comparisons()
            provision.on_cleanup(comparisons.aclose)
        self._providers: dict[str, Provider] = {
            name: provision.instantiate(module) for name, module in config.providers.items()
        }
        self._log = provision.log

    def link(self, following: Next) -> Next:
        """Return the link."""

        async def authenticated(request: Request) -> Response:
            request.vars[f"{SCOPE}user.id"] = await self._user(request)
            return await following(request)

        return authenticated

    async def _user(self, request: Request) -> str:
        challenge = b""
        for name, provider in self._providers.items():
            try:
                verdict = await provider.authenticate(request)
            except ValueError as error:
                self._log.exception("authentication_failed", provider=name, exc_info=error)
                request.vars[f"{SCOPE}{name}.error"] = str(error)
                continue
            if verdict.user is not None:
                return verdict.user
            challenge = challenge or verdict.challenge
        if challenge:
            early_fields(request).set(b"www-authenticate", challenge)
        raise HttpError(401, "not authenticated")
