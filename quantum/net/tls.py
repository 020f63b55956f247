"""TLS contexts of servers: what is offered, and the certificate that goes with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from quantum.net.client_tls import Roots
from quantum.net.openssl.groups import DEFAULT_GROUPS, set_groups
from quantum.net.openssl.verification import verify_clients

CIPHERS_TLS12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and AEAD only (RFC 9325 §4.2); TLS 1.3 has nothing else."""

VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
"""The versions that may be configured, in Caddy's spelling; older ones are not for use (RFC 8996)."""


@dataclass(frozen=True)
class ClientTrust:
    """What a client must prove.

    ``roots``: its certificate leads to one of these; None: whoever signed it, it is taken. ``leaves``:
    it is one of these (SHA-256, hexadecimal); none: any. ``required``: one without is refused.
    """

    roots: Roots | None = None
    required: bool = True
    leaves: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TlsSettings:
    """What connections under one policy agree on. ``alpn`` in order of preference.

    ``ciphers`` are OpenSSL's names for TLS 1.2, ``groups`` those of curves; both empty for the defaults.
    """

    alpn: tuple[str, ...] = ()
    minimum: str = "tls1.2"
    maximum: str = "tls1.3"
    ciphers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    clients: ClientTrust | None = None
    key_log: str = ""
    """A file that the secrets of sessions are appended to, in clear, for debuggers; "" for none."""


def make_server_context(chain: Path, key: Path | None, settings: TlsSettings) -> ssl.SSLContext:
    """Return a context with the certificate chain and key of these PEM files (one file: ``key`` None).

    OSError or ssl.SSLError (an OSError) when they cannot be read or do not belong together.
    """
    context = bare_context(settings)
    context.load_cert_chain(chain, key)
    return context


def bare_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context without certificate: its handshakes end in the alert that says so.

    ValueError for curves that this OpenSSL does not have.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[settings.minimum]
    context.maximum_version = VERSIONS[settings.maximum]
    context.set_ciphers(":".join(settings.ciphers) or CIPHERS_TLS12)
    if not set_groups(context, settings.groups or DEFAULT_GROUPS) and settings.groups:
        raise ValueError(f"OpenSSL does not take the curves {', '.join(settings.groups)}")
    if settings.clients is not None:
        _ask_clients(context, settings.clients)
    context.options |= (
        ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    if settings.key_log:
        context.keylog_filename = settings.key_log
    if settings.alpn:
        context.set_alpn_protocols(list(settings.alpn))
    return context


def _ask_clients(context: ssl.SSLContext, clients: ClientTrust) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    if clients.roots is not None:
        if clients.roots.pem:
            context.load_verify_locations(cadata=clients.roots.pem)
        if clients.roots.system:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        # An intermediate may be trusted without its root, as in Go.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if clients.roots is None or clients.leaves:
        verify_clients(context, chains=clients.roots is not None, leaves=clients.leaves)


def names_to_try(name: str) -> tuple[str, ...]:
    """Return the names under which a certificate for ``name`` may be kept: itself, its wildcard."""
    _, dot, parent = name.partition(".")
    return (name, f"*.{parent}") if dot and parent else (name,)
