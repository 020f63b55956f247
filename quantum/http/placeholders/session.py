"""What ``{http.request.tls.*}`` and ``{http.request.remote.host/…}`` mean.

Without TLS they are empty, without a client certificate the keys about it unknown, as in Caddy. A
certificate is parsed when a placeholder asks for it, never before.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from quantum.http.message import Request, TlsFacts

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Lookup = Callable[[Request], "str | None"]


def masked_peer(bits: str) -> Lookup | None:
    """Return the lookup of the peer's network: "24" for both families, "24,64" for IPv4 and IPv6."""
    v4, comma, v6 = bits.partition(",")
    if not v4.isdecimal() or (comma and not v6.isdecimal()):
        return None

    def masked(request: Request) -> str:
        host = request.connection.peer[0]
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
            length = v6 if comma and address.version == 6 else v4
            return str(ipaddress.ip_network(f"{address}/{length}", strict=False))
        except ValueError:
            return host

    return masked


def find(name: str) -> Lookup | None:
    """Return the lookup of ``tls.<name>``, None when there is no such fact."""
    name = name.lower()
    session = _SESSION.get(name)
    if session is not None:
        return lambda r: session(r.connection.tls) if r.connection.tls is not None else ""
    if name.startswith("client.san."):
        return _alternative_name(name[len("client.san.") :])
    client = _CLIENT.get(name)
    if client is not None:
        return _of_certificate(client)
    return None


def _of_certificate(fact: Callable[[bytes], str]) -> Lookup:
    def lookup(request: Request) -> str | None:
        tls = request.connection.tls
        if tls is None:
            return ""
        return None if tls.client_certificate is None else fact(tls.client_certificate)

    return lookup


def _alternative_name(name: str) -> Lookup | None:
    kind, dot, index = name.partition(".")
    if kind not in {"dns_names", "emails", "ips", "uris"} or (dot and not index.isdecimal()):
        return None

    def names(der: bytes) -> str:
        found = _alternative_names(der, kind)
        if not dot:
            return "[" + " ".join(found) + "]"
        return found[int(index)] if int(index) < len(found) else ""

    return _of_certificate(names)


@lru_cache(maxsize=64)
def _parsed(der: bytes) -> Certificate:
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


def _alternative_names(der: bytes, kind: str) -> list[str]:
    from cryptography import x509

    kinds = {
        "dns_names": x509.DNSName,
        "emails": x509.RFC822Name,
        "ips": x509.IPAddress,
        "uris": x509.UniformResourceIdentifier,
    }
    try:
        extension = _parsed(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in extension.value if isinstance(name, kinds[kind])]


def _public_key(der: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return _parsed(der).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip


_SESSION: dict[str, Callable[[TlsFacts], str]] = {
    "version": lambda tls: tls.version,
    "cipher_suite": lambda tls: tls.cipher,
    "resumed": lambda tls: "true" if tls.resumed else "false",
    "proto": lambda tls: tls.protocol,
    "proto_mutual": lambda tls: "true",
    "server_name": lambda tls: tls.server_name,
    "ech": lambda tls: "false",
}

_CLIENT: dict[str, Callable[[bytes], str]] = {
    "client.fingerprint": lambda der: hashlib.sha256(der).hexdigest(),
    "client.public_key": lambda der: _public_key(der).hex(),
    "client.public_key_sha256": lambda der: hashlib.sha256(_public_key(der)).hexdigest(),
    "client.certificate_pem": ssl.DER_cert_to_PEM_cert,
    "client.certificate_der_base64": lambda der: base64.b64encode(der).decode(),
    "client.issuer": lambda der: _parsed(der).issuer.rfc4514_string(),
    "client.subject": lambda der: _parsed(der).subject.rfc4514_string(),
    "client.serial": lambda der: str(_parsed(der).serial_number),
}
