"""Who allows names on demand, and who has certificates ready (Caddy's fields)."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.urls import HttpUrl
from quantum.modules.config import InlineModule


class HttpPermissionConfig(StrictModel):
    """``tls.permission.http``: ``GET endpoint?domain=NAME``; 2xx allows."""

    endpoint: HttpUrl


class HttpManagerConfig(StrictModel):
    """``tls.get_certificate.http``: ``GET url?server_name=NAME``; 200 with PEM, or 204."""

    url: HttpUrl


class TailscaleManagerConfig(StrictModel):
    """``tls.get_certificate.tailscale``: names below ts.net, from the daemon of this machine."""


class OnDemand(StrictModel):
    """Who allows names that no configuration spells out."""

    permission: InlineModule("tls.permission") | None = None  # type: ignore[valid-type]
    ask: HttpUrl | None = Field(default=None)
    """The older way to write the permission module ``http``."""
