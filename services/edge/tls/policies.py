"""TLS connection policies: from a client's hello to a context (Caddy's rules, first match wins)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quantum.net.client_hello import ClientHello
from quantum.net.tls import TlsSettings, bare_context
from quantum.trust.pools import TrustedPools
from services.edge.certificates import CertificateStore
from services.edge.protocols.h3.quic import QuicCertificate
from services.edge.tls.config import ConnectionPolicy
from services.edge.tls.matching import compile_match
from services.edge.tls.settings import settings_of


class Policies:
    """A ChooseContext: the policies of one server over the certificates of the process."""

    def __init__(
        self,
        policies: Sequence[ConnectionPolicy],
        alpn: tuple[str, ...],
        certificates: CertificateStore,
        pools: TrustedPools,
    ) -> None:
        """``alpn`` is offered where a policy names none; of its own, only what is in ``alpn`` can be.

        OSError when roots of clients' certificates cannot be read or used.
        """
        self._certificates = certificates
        self._policies = [
            (policy, compile_match(policy.match), settings_of(policy, alpn, pools))
            for policy in policies
        ]
        for _, _, settings in self._policies:
            bare_context(settings)  # what OpenSSL refuses is refused before it is in force
        self._asks_for_sender = any(policy.match.remote_ip for policy in policies)

    def find(self, hello: ClientHello, local_ip: str) -> ssl.SSLContext | None:
        """Return the context that is at hand; the fallback name is not tried before ``obtain`` failed."""
        matched = self._match(hello, local_ip)
        if matched is None:
            return None
        policy, settings = matched
        name = _name(hello, policy, local_ip)
        return self._certificates.find(name, settings, policy.certificate_selection)

    def can_speak(self, hello: ClientHello, local_ip: str) -> bool:
        """Return whether there is a protocol to speak, by the ALPN of the policy that fits."""
        matched = self._match(hello, local_ip) if hello.protocols else None
        return matched is None or hello.can_speak(matched[1].alpn)

    async def obtain(self, hello: ClientHello, local_ip: str) -> ssl.SSLContext | None:
        """Fetch the certificate for the hello, else take the one of ``fallback_sni``."""
        matched = self._match(hello, local_ip)
        if matched is None:
            return None
        policy, settings = matched
        for name in (_name(hello, policy, local_ip), policy.fallback_sni):
            if name and await self._certificates.obtain(name, policy.certificate_selection):
                return self._certificates.find(name, settings, policy.certificate_selection)
        return None

    def find_quic(self, hello: ClientHello, local_ip: str) -> QuicCertificate | None:
        """Return the certificate for a QUIC handshake that is at hand, by the same policies."""
        policy = self._match_quic(hello, local_ip)
        if policy is None:
            return None
        return self._found_quic(_name(hello, policy, local_ip), policy)

    async def obtain_quic(self, hello: ClientHello, local_ip: str) -> QuicCertificate | None:
        """Fetch it, as ``obtain`` does."""
        policy = self._match_quic(hello, local_ip)
        if policy is None:
            return None
        for name in (_name(hello, policy, local_ip), policy.fallback_sni):
            if name and await self._certificates.obtain(name, policy.certificate_selection):
                return self._found_quic(name, policy)
        return None

    def _found_quic(self, name: str, policy: ConnectionPolicy) -> QuicCertificate | None:
        found = self._certificates.find_quic(name, policy.certificate_selection)
        if found is None or not policy.insecure_secrets_log:
            return found
        return replace(found, key_log=str(Path(policy.insecure_secrets_log).absolute()))

    def _match_quic(self, hello: ClientHello, local_ip: str) -> ConnectionPolicy | None:
        """Return the policy for a hello, None where QUIC could not keep what it asks for."""
        if self._asks_for_sender and not hello.remote_ip:
            return None
        matched = self._match(hello, local_ip)
        if matched is None:
            return None
        policy = matched[0]
        if policy.authenticates or policy.curves or policy.protocol_max != "tls1.3":
            return None
        return policy

    def _match(
        self, hello: ClientHello, local_ip: str
    ) -> tuple[ConnectionPolicy, TlsSettings] | None:
        for policy, fits, settings in self._policies:
            if fits(hello, local_ip):
                return None if policy.drop else (policy, settings)
        return None


def _name(hello: ClientHello, policy: ConnectionPolicy, local_ip: str) -> str:
    """Return the name to have a certificate for: asked, configured, or the address connected to."""
    return hello.server_name or policy.default_sni.lower() or local_ip
