"""Bearer tokens: what they say is in them, signed; nothing needs to be looked up.

``qs1.<claims>.<signature>``: both in URL-safe base64; claims are JSON, the signature HMAC-SHA-256 over
the text before it. The key is in the configuration, so every replica and the command line have it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.sync.access.patterns import Matches, compile_patterns

PREFIX = "qs1"


class TokenRefused(Exception):
    """A token that is broken, forged, expired, revoked or for another share."""


class Claims(BaseModel):
    """What a token allows. ``share`` "" is every share of the key; no ``paths`` are all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=64)
    share: str = ""
    paths: list[str] = Field(default_factory=list, max_length=64)
    write: bool = False
    expires: datetime | None = None
    client: str | None = Field(default=None, pattern=r"^[!-~]{1,128}$")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: what it may see and whether it may write there. ``client`` fixes its name."""

    may_read: bool = True
    may_write: bool = True
    matches: Matches | None = None
    client: str | None = None

    def sees(self, path: str) -> bool:
        """Whether ``path`` may be read."""
        return self.may_read and (self.matches is None or self.matches(path))

    def may_change(self, path: str) -> bool:
        """Whether ``path`` may be written."""
        return self.may_write and (self.matches is None or self.matches(path))

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden."""
        return self.may_read and self.matches is None


ANYONE = Principal()
NOBODY = Principal(may_read=False, may_write=False)
READER = Principal(may_write=False)


def make_token(key: str, claims: Claims) -> str:
    """Return the token of ``claims``."""
    body = _encode(claims.model_dump_json(exclude_defaults=False, exclude_none=True).encode())
    text = f"{PREFIX}.{body}"
    return f"{text}.{_encode(_sign(key, text))}"


def read_token(
    key: str, token: str, share: str, now: datetime, revoked: Sequence[str] = ()
) -> Principal:
    """Return what a token allows in ``share``; TokenRefused says in general terms why it does not."""
    text, _, signature = token.rpartition(".")
    prefix, _, body = text.partition(".")
    try:
        if prefix != PREFIX or not hmac.compare_digest(_decode(signature), _sign(key, text)):
            raise TokenRefused("this is no token of this server")
        claims = Claims.model_validate_json(_decode(body))
    except (binascii.Error, ValueError, ValidationError):
        raise TokenRefused("this is no token of this server") from None
    if claims.expires is not None and claims.expires <= now:
        raise TokenRefused("the token has expired")
    if claims.id in revoked:
        raise TokenRefused("the token was revoked")
    if claims.share not in {"", share}:
        raise TokenRefused("the token is for another share")
    matches = compile_patterns(claims.paths) if claims.paths else None
    return Principal(True, claims.write, matches, claims.client)


def _sign(key: str, text: str) -> bytes:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def describe(claims: Claims) -> dict[str, Any]:
    """Return the claims as JSON for people."""
    return claims.model_dump(mode="json", exclude_none=True)
