"""TLS as a client: the context for connections to upstreams, as the configuration describes it.

The proxy and the health room both dial upstreams; they must trust the same certificates.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quantum.config.curves import CURVES
from quantum.modules.config import ModuleConfig
from quantum.modules.trust import pem_of
from quantum.net.openssl.groups import set_groups

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Roots:
    """Certificates to trust: ``pem`` (may be empty), and the system's with ``system``."""

    pem: str = ""
    system: bool = False

    def __add__(self, other: Roots) -> Roots:
        return Roots("\n".join(p for p in (self.pem, other.pem) if p), self.system or other.system)


class PeerTrust(Protocol):
    """Reads what configurations name (``quantum.trust.upstreams``)."""

    def roots_of(self, pool: ModuleConfig) -> Roots:
        """Return what a pool trusts. OSError or ValueError when it cannot be read."""

    def identify(self, context: ssl.SSLContext, name: str) -> None:
        """Let ``context`` present our certificate for ``name``, today's and those that follow it.

        OSError or ValueError when there is none.
        """


class ClientTls(Protocol):
    """What a configuration says about TLS towards upstreams (Caddy's ``transport.http.tls``)."""

    @property
    def ca(self) -> ModuleConfig | None:
        """The pool of trusted roots."""

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
    def client_certificate_automate(self) -> str:
        """The name whose certificate, of our own making, we present; "" for none."""

    @property
    def curves(self) -> list[str]:
        """The curves to offer, by their names in configurations; none: OpenSSL's."""

    @property
    def insecure_skip_verify(self) -> bool:
        """Whether any certificate is taken."""


def make_client_context(config: ClientTls, trust: PeerTrust) -> ssl.SSLContext:
    """Return the context; OSError or ValueError when its files or pools cannot be used.

    Roots that cannot be read are an error, never an empty list: trust must not fail open.
    """
    context = trusting(trusted_roots(config, trust))
    if config.client_certificate_file:
        context.load_cert_chain(config.client_certificate_file, config.client_certificate_key_file)
    if config.client_certificate_automate:
        trust.identify(context, config.client_certificate_automate)
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.curves and not set_groups(context, tuple(CURVES[name] for name in config.curves)):
        raise ValueError("curves: this interpreter's OpenSSL cannot be told")
    context.set_alpn_protocols(["http/1.1"])
    return context


def trusted_roots(config: ClientTls, trust: PeerTrust) -> Roots:
    """Return whom the configuration trusts; the system's roots when it does not say."""
    roots = Roots() if config.ca is None else trust.roots_of(config.ca)
    texts = [Path(name).read_text("ascii") for name in config.root_ca_pem_files]
    texts += [pem_of(text) for text in config.root_ca_pool]
    if texts:
        roots += Roots("\n".join(texts))
    return roots if roots.pem or config.ca is not None else Roots(system=True)


def trusting(roots: Roots) -> ssl.SSLContext:
    """Return a client's context that trusts exactly these. OSError or ValueError when they are none.

    A certificate of the pool ends a chain even if somebody signed it, as in Go: an intermediate can be
    trusted without its root.
    """
    if not roots.pem and not roots.system:
        raise ValueError("a pool without a certificate trusts nobody")
    context = ssl.create_default_context(cadata=roots.pem or None)
    if roots.system and roots.pem:
        context.load_default_certs()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def fingerprints_of(pem: str) -> frozenset[str]:
    """Return the SHA-256 of every certificate in ``pem``, hexadecimal; ValueError when one is broken."""
    found = set()
    for block in _CERTIFICATE.findall(pem):
        try:
            der = base64.b64decode("".join(block.split()), validate=True)
        except binascii.Error as error:
            raise ValueError(f"a certificate is not base64: {error}") from None
        found.add(hashlib.sha256(der).hexdigest())
    return frozenset(found)
