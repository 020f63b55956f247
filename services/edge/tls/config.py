"""``tls_connection_policies``: how TLS is spoken with whom (Caddy's fields)."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from quantum.config.curves import check_curves
from quantum.config.model import StrictModel
from quantum.config.pattern import PatternText
from quantum.config.unbuilt import refused
from quantum.config.units import StringArray
from quantum.modules.config import InlineModule
from quantum.modules.selection import CertificateSelection
from quantum.modules.trust import InlineCertificate, TrustPool

TlsVersion = Literal["tls1.2", "tls1.3"]

CIPHER_SUITES = {
    f"TLS_{exchange}_{ours}_WITH_{cipher}": f"{exchange}-{ours}-{theirs}"
    for exchange in ("ECDHE",)
    for ours in ("ECDSA", "RSA")
    for cipher, theirs in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
} | {
    f"TLS_ECDHE_{ours}_WITH_CHACHA20_POLY1305": f"ECDHE-{ours}-CHACHA20-POLY1305"
    for ours in ("ECDSA", "RSA")
}
"""TLS 1.2's suites by their names in configurations, and OpenSSL's; TLS 1.3 chooses its own, as in Go."""


def _range(text: str) -> str:
    if text != "private_ranges":
        ip_network(text, strict=False)
    return text


Range = Annotated[str, AfterValidator(_range)]


class RemoteAddress(StrictModel):
    """``remote_ip``: who connects; one in ``not_ranges`` does not fit, whatever else."""

    ranges: list[Range] = Field(default_factory=list)
    not_ranges: list[Range] = Field(default_factory=list)


class LocalAddress(StrictModel):
    """``local_ip``: the address that was connected to."""

    ranges: list[Range] = Field(default_factory=list)


class NamePattern(StrictModel):
    """``sni_regexp``: an expression that finds something in the name."""

    name: str = ""
    pattern: PatternText


class HandshakeMatch(StrictModel):
    """Which handshakes a connection policy is for: all that is given must fit."""

    sni: StringArray | None = None
    sni_regexp: NamePattern | None = None
    remote_ip: RemoteAddress | None = None
    local_ip: LocalAddress | None = None


class ClientAuthentication(StrictModel):
    """Who the client must be. The presence of the object, unless empty, asks for a certificate.

    ``request`` and ``require`` take certificates whoever signed them; verifiers look at them all the same.
    """

    ca: TrustPool | None = None
    trusted_ca_certs: list[InlineCertificate] = Field(default_factory=list)
    trusted_ca_certs_pem_files: list[str] = Field(default_factory=list)
    trusted_leaf_certs: list[InlineCertificate] = Field(default_factory=list)
    verifiers: list[InlineModule("tls.client_auth.verifier")] = Field(default_factory=list)  # type: ignore[valid-type]
    mode: Literal["", "request", "require", "verify_if_given", "require_and_verify"] = ""

    @model_validator(mode="after")
    def _can_be_had(self) -> ClientAuthentication:
        if self.mode in {"verify_if_given", "require_and_verify"} and not (
            self.has_authorities or self.trusted_leaf_certs
        ):
            raise ValueError(f"mode {self.mode!r} needs certificates to verify against: ca")
        return self

    @property
    def is_active(self) -> bool:
        """Whether anything is asked of clients."""
        return bool(self.mode or self.has_authorities or self.trusted_leaf_certs or self.verifiers)

    @property
    def is_required(self) -> bool:
        """Whether a client without certificate is refused."""
        return self.is_active and self.mode not in {"request", "verify_if_given"}

    @property
    def has_authorities(self) -> bool:
        """Whether there are roots that a certificate may lead to."""
        return bool(self.ca or self.trusted_ca_certs or self.trusted_ca_certs_pem_files)

    @property
    def verifies_chains(self) -> bool:
        """Whether a certificate must lead to one of them."""
        return self.has_authorities and self.mode not in {"request", "require"}


class ConnectionPolicy(StrictModel):
    """How TLS is spoken; the first policy whose ``match`` fits the client's hello is taken."""

    match: HandshakeMatch = Field(default_factory=HandshakeMatch)
    alpn: list[str] = Field(default_factory=list)
    protocol_min: TlsVersion = "tls1.2"
    protocol_max: TlsVersion = "tls1.3"
    default_sni: str = ""
    fallback_sni: str = ""
    certificate_selection: CertificateSelection | None = None
    cipher_suites: list[str] = Field(default_factory=list)
    curves: Annotated[list[str], AfterValidator(check_curves)] = Field(default_factory=list)
    drop: bool = False
    client_authentication: ClientAuthentication | None = None
    insecure_secrets_log: str = ""
    """A file for the secrets of each session (SSLKEYLOGFILE): whoever has it reads all that is said."""
    handshake_context: Annotated[
        Any, refused("its modules are plugins of Caddy; certificates come from apps.tls")
    ] = None

    @model_validator(mode="after")
    def _versions_overlap(self) -> ConnectionPolicy:
        if self.protocol_min > self.protocol_max:
            raise ValueError("protocol_min is newer than protocol_max")
        return self

    @field_validator("cipher_suites")
    @classmethod
    def _are_good(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in CIPHER_SUITES:
                known = ", ".join(sorted(CIPHER_SUITES))
                raise ValueError(f"{name!r} is not offered here; there are {known}")
        return names

    @property
    def authenticates(self) -> bool:
        """Whether clients are asked who they are."""
        client = self.client_authentication
        return client is not None and client.is_active
