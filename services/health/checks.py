"""What is to be checked: read from the reverse proxies of a configuration."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from quantum.bus.subjects import key_of
from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError
from quantum.modules.config import ModuleConfig
from quantum.net.client_tls import make_client_context
from quantum.service.api import Revision

PROXY = "http.handlers.reverse_proxy"


@dataclass(frozen=True)
class Check:
    """One upstream as one active check looks at it. Equal ``key``: the same check."""

    key: str
    checker: str
    upstream: str
    active: Any
    """The ``health_checks.active`` of the proxy's configuration."""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    server_name: str | None = None

    @property
    def unix_path(self) -> str | None:
        """The path of a unix socket to connect to, None for TCP."""
        address = NetworkAddress.parse(self.upstream)
        return address.host if address.is_unix else None

    @property
    def url(self) -> str:
        """What to ask for; the name of an upstream behind a unix socket is localhost."""
        address = NetworkAddress.parse(self.upstream)
        scheme = "http" if self.tls is None else "https"
        if address.is_unix:
            return f"{scheme}://localhost{self.path}"
        host = f"[{address.host}]" if ":" in address.host else address.host or "localhost"
        return f"{scheme}://{host}:{self.active.port or address.port}{self.path}"

    @property
    def path(self) -> str:
        """The path and query to ask for."""
        target: str = self.active.target
        return target if target.startswith("/") else f"/{target}"


def checks_of(revision: Revision) -> dict[str, Check]:
    """Return the checks of ``revision`` by key; ConfigError when TLS files cannot be used."""
    checks: dict[str, Check] = {}
    for module in revision.modules:
        if module.spec.id == PROXY and module.config.health_checks.active is not None:
            for check in _checks_of_proxy(module):
                checks[check.key] = check
    return checks


def _checks_of_proxy(module: ModuleConfig) -> list[Check]:
    config = module.config
    tls_config = getattr(config.transport.config, "tls", None) if config.transport else None
    context = None
    if tls_config is not None:
        try:
            context = make_client_context(tls_config)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{module.path}.transport.tls", f"cannot be used: {error}") from error
    checks = []
    for upstream in config.upstreams:
        checker = config.checker_id(upstream.dial)
        checks.append(
            Check(
                key=key_of(f"{checker}|{upstream.dial}"),
                checker=checker,
                upstream=upstream.dial,
                active=config.health_checks.active,
                tls=context,
                server_name=(tls_config.server_name or None) if tls_config is not None else None,
            )
        )
    return checks
