"""What is to be checked: read from the reverse proxies of a configuration."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from quantum.bus.subjects import key_of
from quantum.config.units import NetworkAddress
from quantum.errors import unusable
from quantum.modules.config import ModuleConfig
from quantum.net.client_tls import PeerTrust, make_client_context
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
    tls_h2: ssl.SSLContext | None = field(default=None, compare=False)
    """The same for HTTP/2 (gRPC): it offers another protocol."""
    server_name: str | None = None

    @property
    def target(self) -> str:
        """The address to connect to: ``active.upstream``, else the upstream, at ``active.port`` if set.

        A port makes a TCP address of a unix socket too (as in Caddy: "we just assume TCP").
        """
        active = self.active
        if active.upstream:
            return str(active.upstream)
        address = NetworkAddress.parse(self.upstream)
        if not active.port:
            return self.upstream
        host = "localhost" if address.is_unix else address.host
        return f"[{host}]:{active.port}" if ":" in host else f"{host}:{active.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port of the URL; the name of an upstream behind a unix socket is localhost."""
        address = NetworkAddress.parse(self.target)
        scheme = "http" if self.tls is None else "https"
        if address.is_unix:
            return f"{scheme}://localhost"
        host = f"[{address.host}]" if ":" in address.host else address.host or "localhost"
        return f"{scheme}://{host}:{address.port}"

    @property
    def path(self) -> str:
        """The path and query to ask for."""
        target: str = self.active.target
        return target if target.startswith("/") else f"/{target}"

    @property
    def url(self) -> str:
        """What to ask for."""
        return self.origin + self.path


def checks_of(revision: Revision, trust: PeerTrust) -> dict[str, Check]:
    """Return the checks of ``revision`` by key; ConfigError when TLS files cannot be used."""
    checks: dict[str, Check] = {}
    for module in proxies_of(revision):
        if module.config.health_checks.active is not None:
            named = [upstream.dial for upstream in module.config.upstreams]
            dials = [dial for dial in named if "{" not in dial]  # others depend on requests
            for check in checks_of_proxy(module, dials, trust):
                checks[check.key] = check
    return checks


def proxies_of(revision: Revision) -> list[ModuleConfig]:
    """Return the reverse proxies of ``revision``."""
    return [module for module in revision.modules if module.spec.id == PROXY]


def checks_of_proxy(module: ModuleConfig, dials: Iterable[str], trust: PeerTrust) -> list[Check]:
    """Return the checks of these upstreams by the rules of the proxy ``module``."""
    config = module.config
    transport = config.transport
    tls = getattr(transport.config, "tls", None) if transport else None
    contexts = (None, None) if tls is None else _contexts(module, tls, trust)
    checks = []
    for dial in dials:
        checker = config.checker_id(dial)
        checks.append(
            Check(
                key=key_of(f"{checker}|{dial}"),
                checker=checker,
                upstream=dial,
                active=config.health_checks.active,
                tls=contexts[0],
                tls_h2=contexts[1],
                server_name=(tls.server_name or None) if tls is not None else None,
            )
        )
    return checks


def _contexts(
    module: ModuleConfig, tls: Any, trust: PeerTrust
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    try:
        plain, h2 = make_client_context(tls, trust), make_client_context(tls, trust)
    except (OSError, ValueError) as error:
        raise unusable(f"{module.path}.transport.tls", error) from error
    h2.set_alpn_protocols(["h2"])
    return plain, h2
