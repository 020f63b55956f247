"""``tls_connection_policies``: how TLS is spoken with whom (Caddy's fields)."""

from __future__ import annotations

import base64
import binascii
import ssl
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from quantum.config.curves import check_curves
from quantum.config.model import StrictModel
from quantum.config.pattern import PatternText
from quantum.config.unbuilt import NotBuilt
from quantum.config.units import StringArray

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


class AuthorityPool(StrictModel):
    """``tls.ca_pool.source``: trusted roots, from files or inline (base64 DER)."""

    provider: Literal["file", "inline"]
    pem_files: list[str] = Field(default_factory=list)
    trusted_ca_certs: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_roots(self) -> AuthorityPool:
        given = self.pem_files if self.provider == "file" else self.trusted_ca_certs
        other = self.trusted_ca_certs if self.provider == "file" else self.pem_files
        if other or not given:
            field = "pem_files" if self.provider == "file" else "trusted_ca_certs"
            raise ValueError(f"the provider {self.provider!r} takes {field}, at least one")
        return self


def pem_of(der: str) -> str:
    """Return base64 DER as PEM; ValueError when it is no certificate."""
    try:
        pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(der, validate=True))
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        raise ValueError("not a certificate in DER") from error
    return pem


class ClientAuthentication(StrictModel):
    """Who the client must be. The presence of the object, unless empty, asks for a certificate.

    ``request`` and ``require``, which take certificates of anybody unverified, cannot be had of Python's
    ssl module and are refused.
    """

    ca: AuthorityPool | None = None
    trusted_ca_certs: list[str] = Field(default_factory=list)
    trusted_ca_certs_pem_files: list[str] = Field(default_factory=list)
    trusted_leaf_certs: list[str] = Field(default_factory=list)
    verifiers: NotBuilt = None
    mode: Literal["", "request", "require", "verify_if_given", "require_and_verify"] = ""

    @field_validator("trusted_ca_certs", "trusted_leaf_certs")
    @classmethod
    def _are_certificates(cls, texts: list[str]) -> list[str]:
        for text in texts:
            pem_of(text)
        return texts

    @model_validator(mode="after")
    def _can_be_had(self) -> ClientAuthentication:
        if self.mode in {"request", "require"}:
            raise ValueError(f"mode {self.mode!r} takes any certificate: not built here yet")
        if self.is_active and not self.has_roots:
            raise ValueError(
                "needs certificates to verify against: ca, with provider file or inline"
            )
        if self.trusted_leaf_certs and self._has_authorities:
            raise ValueError("trusted_leaf_certs and authorities together are not built here yet")
        return self

    @property
    def is_active(self) -> bool:
        """Whether anything is asked of clients."""
        return bool(self.mode) or self.has_roots

    @property
    def is_required(self) -> bool:
        """Whether a client without certificate is refused."""
        return self.is_active and self.mode != "verify_if_given"

    @property
    def _has_authorities(self) -> bool:
        return bool(self.ca or self.trusted_ca_certs or self.trusted_ca_certs_pem_files)

    @property
    def has_roots(self) -> bool:
        """Whether there is something to verify against."""
        return self._has_authorities or bool(self.trusted_leaf_certs)


class ConnectionPolicy(StrictModel):
    """How TLS is spoken; the first policy whose ``match`` fits the client's hello is taken."""

    match: HandshakeMatch = Field(default_factory=HandshakeMatch)
    alpn: list[str] = Field(default_factory=list)
    protocol_min: TlsVersion = "tls1.2"
    protocol_max: TlsVersion = "tls1.3"
    default_sni: str = ""
    fallback_sni: str = ""
    certificate_selection: NotBuilt = None
    cipher_suites: list[str] = Field(default_factory=list)
    curves: Annotated[list[str], AfterValidator(check_curves)] = Field(default_factory=list)
    drop: bool = False
    client_authentication: ClientAuthentication | None = None
    insecure_secrets_log: NotBuilt = None
    handshake_context: NotBuilt = None

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
