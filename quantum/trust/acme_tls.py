"""TLS-ALPN-01 (RFC 8737): the certificate by which a TLS server proves to an ACME authority that a name is its own.

Made where it is shown: what travels is the key authorization, and the key is in the memory of this
process alone, for as long as the challenge is open.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quantum.net.client_hello import ACME_PROTOCOL
from quantum.net.tls import TlsSettings, make_server_context

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""The extension of the proving certificate (RFC 8737 §6.1)."""
BEFORE = timedelta(hours=1)
"""How long before now the certificate begins: authorities' clocks may be behind ours."""


def server_name_of(name: str) -> str:
    """Return what the authority's hello names: an address by its reverse (RFC 8738 §6), a name as it is."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name.lower()


def identifier_of(key_authorization: str) -> bytes:
    """Return the value of the extension: an OCTET STRING of the SHA-256 digest (RFC 8737 §3)."""
    return b"\x04\x20" + hashlib.sha256(key_authorization.encode()).digest()


def proving_context(
    name: str, key_authorization: str, now: datetime, until: datetime
) -> ssl.SSLContext:
    """Return a server's context that proves ``name`` and speaks ``acme-tls/1`` alone.

    ValueError: no certificate can have this name. OSError: there is no memory for it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        san: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        san = x509.DNSName(name)
    nobody = x509.Name([])
    leaf = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(max(until, now))
        .add_extension(x509.SubjectAlternativeName([san]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(ACME_IDENTIFIER, identifier_of(key_authorization)),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    context = _load(secret + leaf.public_bytes(pem))
    context.num_tickets = 0  # nobody comes back
    return context


def _load(pem: bytes) -> ssl.SSLContext:
    """Return a context of what OpenSSL takes from files only, without one on a disk."""
    descriptor = os.memfd_create("acme-tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        chain = Path(f"/proc/self/fd/{descriptor}")
        return make_server_context(chain, None, TlsSettings((ACME_PROTOCOL,)))
    finally:
        os.close(descriptor)
