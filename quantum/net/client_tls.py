"""TLS as a client: the context for connections to upstreams, as the configuration describes it.

The proxy and the health room both dial upstreams; they must trust the same certificates.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any, Protocol

from quantum.config.curves import CURVES
from quantum.net.groups import set_groups


class ClientTls(Protocol):
    """What a configuration says about TLS towards upstreams (Caddy's ``transport.http.tls``)."""

    @property
    def ca(self) -> dict[str, Any] | None:
        """The provider of trusted roots: ``file``, ``inline`` or ``system``."""

    @property
    def root_ca_pool(self) -> list[str]:
        """Trusted roots, base64 DER (the older field)."""

    @property
    def root_ca_pem_files(self) -> list[str]:
        """Files of trusted roots (the older field)."""

    @property
    def client_certificate_file(self) -> str:
        """Our certificate, if the upstream asks for one."""

    @property
    def client_certificate_key_file(self) -> str:
        """Its key."""

    @property
    def curves(self) -> list[str]:
        """The curves to offer, by their names in configurations; none: OpenSSL's."""

    @property
    def insecure_skip_verify(self) -> bool:
        """Whether any certificate is taken."""


def make_client_context(config: ClientTls) -> ssl.SSLContext:
    """Return the context; OSError or ValueError when its files cannot be used.

    Roots that cannot be read are an error, never an empty list: trust must not fail open.
    """
    pems = trusted_roots(config)
    context = ssl.create_default_context(cadata="\n".join(pems) if pems else None)
    if config.client_certificate_file:
        context.load_cert_chain(config.client_certificate_file, config.client_certificate_key_file)
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.curves and not set_groups(context, tuple(CURVES[name] for name in config.curves)):
        raise ValueError("curves: this interpreter's OpenSSL cannot be told")
    context.set_alpn_protocols(["http/1.1"])
    return context


def trusted_roots(config: ClientTls) -> list[str]:
    """Return the certificates that replace the system's roots; none: the system's are trusted."""
    ca = config.ca or {}
    files = [*config.root_ca_pem_files, *ca.get("pem_files", ())]
    inline = [*config.root_ca_pool, *ca.get("trusted_ca_certs", ())]
    return [Path(name).read_text("ascii") for name in files] + [_pem(text) for text in inline]


def _pem(base64_der: str) -> str:
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(base64_der, validate=True))
