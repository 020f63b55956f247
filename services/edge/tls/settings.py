"""From a policy to what OpenSSL is told."""

from __future__ import annotations

from pathlib import Path

from quantum.config.curves import CURVES
from quantum.net.tls import ClientTrust, TlsSettings
from services.edge.tls.config import (
    CIPHER_SUITES,
    ClientAuthentication,
    ConnectionPolicy,
    pem_of,
)


def settings_of(policy: ConnectionPolicy, alpn: tuple[str, ...]) -> TlsSettings:
    """Return the settings; ``alpn`` bounds what a policy can offer.

    Contexts are kept by certificate and settings, and OpenSSL keeps tickets by context: a session of
    one policy is never resumed under another. OSError when a file cannot be read.
    """
    client = policy.client_authentication
    return TlsSettings(
        tuple(name for name in policy.alpn if name in alpn) if policy.alpn else alpn,
        policy.protocol_min,
        policy.protocol_max,
        tuple(CIPHER_SUITES[name] for name in policy.cipher_suites),
        tuple(CURVES[name] for name in policy.curves),
        trust_of(client) if client is not None and client.is_active else None,
    )


def trust_of(client: ClientAuthentication) -> ClientTrust:
    """Return what clients must prove; OSError when a file of roots cannot be read."""
    if client.trusted_leaf_certs:
        roots = [pem_of(text) for text in client.trusted_leaf_certs]
        return ClientTrust("\n".join(roots), client.is_required, is_exact=True)
    files, inline = list(client.trusted_ca_certs_pem_files), list(client.trusted_ca_certs)
    if client.ca is not None:
        files += client.ca.pem_files
        inline += client.ca.trusted_ca_certs
    texts = [Path(name).read_text("ascii") for name in files] + [pem_of(text) for text in inline]
    return ClientTrust("\n".join(texts), client.is_required)
