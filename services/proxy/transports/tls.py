"""TLS towards the upstreams of one handler: for whom, under which name, with which protocols."""

from __future__ import annotations

import ssl

from quantum.config.units import NetworkAddress
from quantum.errors import unusable
from quantum.http.message import Request
from quantum.http.placeholders import compile_template, constant
from quantum.net.client_tls import PeerTrust, make_client_context
from services.proxy.transports.config import UpstreamTls

DEFAULT_HANDSHAKE_SECONDS = 10.0
"""Seconds for a TLS handshake when none are configured: Go's transport."""


class Security:
    """The contexts are made once: a certificate that cannot be read is an error of the configuration."""

    def __init__(
        self,
        config: UpstreamTls,
        path: str,
        trust: PeerTrust,
        *,
        speaks_h2: bool,
        speaks_h1: bool,
    ) -> None:
        """``path`` is the transport's place, for errors; ConfigError when files cannot be used."""
        self._except = frozenset(config.except_ports)
        self.handshake_timeout = config.handshake_timeout or DEFAULT_HANDSHAKE_SECONDS
        self._fixed_name = constant(config.server_name)
        self._name = compile_template(config.server_name) if self._fixed_name is None else None
        self.plain = _context(config, path, trust, ["http/1.1"])
        protocols = ["h2"] * speaks_h2 + ["http/1.1"] * speaks_h1
        self.offering_all = _context(config, path, trust, protocols) if speaks_h2 else self.plain

    def covers(self, address: NetworkAddress) -> bool:
        """Whether connections to ``address`` are encrypted (``except_ports``)."""
        return address.is_unix or str(address.port) not in self._except

    @property
    def is_named_by_request(self) -> bool:
        """Whether the server's name has placeholders."""
        return self._name is not None

    def name_for(self, request: Request) -> str:
        """Return the configured name with the facts of ``request``, "" for the upstream's own."""
        return self._name(request) if self._name is not None else self._fixed_name or ""

    @property
    def fixed_name(self) -> str:
        """The configured name, "" for the upstream's own."""
        return self._fixed_name or ""


def _context(
    config: UpstreamTls, path: str, trust: PeerTrust, protocols: list[str]
) -> ssl.SSLContext:
    try:
        context = make_client_context(config, trust)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise unusable(f"{path}.tls", error) from error
    context.set_alpn_protocols(protocols)
    return context
