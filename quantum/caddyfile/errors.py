"""The one exception of the adapter."""

from __future__ import annotations

from quantum.errors import ConfigError


class CaddyfileError(ConfigError):
    """A Caddyfile that cannot be adapted; the message names ``FILE:LINE`` as Caddy's does."""

    def __init__(self, problem: str) -> None:
        super().__init__("", problem)
