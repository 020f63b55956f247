"""From a policy to what OpenSSL is told."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from quantum.config.curves import CURVES
from quantum.modules.trust import pem_of
from quantum.net.client_tls import Roots, fingerprints_of
from quantum.net.tls import ClientTrust, TlsSettings
from quantum.trust.pools import TrustedPools
from services.edge.tls.config import CIPHER_SUITES, ClientAuthentication, ConnectionPolicy
from services.edge.tls.leaves import leaves_of

_log = structlog.get_logger("quantum.edge")


def settings_of(
    policy: ConnectionPolicy, alpn: tuple[str, ...], pools: TrustedPools
) -> TlsSettings:
    """Return the settings; ``alpn`` bounds what a policy can offer.

    Contexts are kept by certificate and settings, and tickets are sealed by them: a session of one
    policy is never resumed under another. OSError or ValueError when a pool cannot be read.
    """
    client = policy.client_authentication
    return TlsSettings(
        tuple(name for name in policy.alpn if name in alpn) if policy.alpn else alpn,
        policy.protocol_min,
        policy.protocol_max,
        tuple(CIPHER_SUITES[name] for name in policy.cipher_suites),
        tuple(CURVES[name] for name in policy.curves),
        trust_of(client, pools) if client is not None and client.is_active else None,
        key_log(policy.insecure_secrets_log),
    )


def key_log(name: str) -> str:
    """Make the file for secrets, for this user alone, and return where it is; "" for none. OSError."""
    if not name:
        return ""
    path = Path(name).absolute()
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    _log.warning("tls_secrets_logged", file=str(path), remedy="remove insecure_secrets_log")
    return str(path)


def trust_of(client: ClientAuthentication, pools: TrustedPools) -> ClientTrust:
    """Return what clients must prove; OSError or ValueError when it cannot be read."""
    leaves: frozenset[str] | None = None
    if client.trusted_leaf_certs:
        leaves = fingerprints_of("\n".join(pem_of(text) for text in client.trusted_leaf_certs))
    for verifier in client.verifiers:  # all must agree
        found = leaves_of(verifier, pools)
        leaves = found if leaves is None else leaves & found
        if not leaves:
            raise ValueError(f"{verifier.path}: no certificate satisfies all verifiers")
    roots = _roots(client, pools) if client.verifies_chains else None
    return ClientTrust(roots, client.is_required, leaves or frozenset())


def _roots(client: ClientAuthentication, pools: TrustedPools) -> Roots:
    texts = [Path(name).read_text("ascii") for name in client.trusted_ca_certs_pem_files]
    texts += [pem_of(text) for text in client.trusted_ca_certs]
    roots = Roots("\n".join(texts))
    if client.ca is not None:
        roots += pools.roots_of(client.ca)
    if not roots.pem and not roots.system:
        raise ValueError("client_authentication: a pool without a certificate trusts nobody")
    return roots
