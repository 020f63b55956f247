"""What a TLS port says to an ACME authority that asks by TLS-ALPN-01 (RFC 8737 §3): a certificate, and goodbye."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast

from quantum.net.tls_transport import TlsTransport


class FindProof(Protocol):
    """Knows the open challenges."""

    def context(self, server_name: str) -> ssl.SSLContext | None:
        """Return the context that proves a name, None when its challenge is not open."""


class Proven(asyncio.Protocol):
    """Follows the handshake, and ends the connection: the certificate was all there is to say."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say goodbye, and hear nothing more."""
        tls = cast("TlsTransport", transport)
        tls.leave()
        tls.close()
