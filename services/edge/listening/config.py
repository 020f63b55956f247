"""``listener_wrappers``: what stands between a listening socket and HTTP (``caddy.listeners.*``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.units import Duration
from services.edge.tls.config import Range

REDIRECT_HEAD_BYTES = 1024 * 1024
"""Go's bound of a request head, which Caddy takes over."""

Policy = Literal["IGNORE", "USE", "REJECT", "REQUIRE", "SKIP"]


class ProxyProtocolConfig(StrictModel):
    """``proxy_protocol``: who is believed when it says whom a connection is from.

    Peers in ``deny`` may not send a header, those in ``allow`` are believed, and for the others
    ``fallback_policy`` holds: IGNORE a header, USE it, REJECT whoever sends one, REQUIRE one, or SKIP
    looking for it. ``timeout`` is what the header may take (0: no bound).
    """

    timeout: Duration = 5.0
    allow: list[Range] = Field(default_factory=list)
    deny: list[Range] = Field(default_factory=list)
    fallback_policy: Policy = "IGNORE"

    @field_validator("fallback_policy", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) and value else value


class HttpRedirectConfig(StrictModel):
    """``http_redirect``: plain HTTP on a TLS port is sent to HTTPS on the same port."""

    max_header_bytes: int = Field(REDIRECT_HEAD_BYTES, ge=0)


class TlsPlaceConfig(StrictModel):
    """``tls``: the place of TLS among the wrappers."""
