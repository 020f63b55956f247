"""``apps.tls`` and ``apps.pki``: where certificates come from (Caddy's fields).

Fields that Caddy has and this room does not obey yet are refused by name rather than ignored: a
certificate policy that is silently not applied is worse than an error.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from quantum.config.model import StrictModel, StrictRoot
from quantum.config.unbuilt import NotBuilt, refused
from quantum.config.units import Duration, Secret
from quantum.modules.config import InlineModule, ModuleMap
from quantum.modules.trust import StorageReference
from services.certs.challenges.config import Challenges, NameServer
from services.certs.ondemand.config import OnDemand

DAY = 86_400.0
HOUR = 3_600.0

KeyType = Literal["p256", "p384", "ed25519", "rsa2048", "rsa4096"]

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


NotStapled = Annotated[
    Any, refused("no OCSP answers are stapled: public authorities have ended OCSP; leave it out")
]
SpokenByAcme = Annotated[
    Any,
    refused("ZeroSSL is spoken to by ACME: use the issuer acme with its directory and challenges"),
]


def _fraction(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError("must be between 0 and 1")
    return value


class AutomationPolicy(StrictModel):
    """How certificates for ``subjects`` (none: for all) are obtained; the first policy that fits wins."""

    subjects: list[str] = Field(default_factory=list)
    issuers: list[InlineModule("tls.issuance")] = Field(default_factory=list)  # type: ignore[valid-type]
    get_certificate: list[InlineModule("tls.get_certificate")] = Field(default_factory=list)  # type: ignore[valid-type]
    key_type: KeyType = "p256"
    renewal_window_ratio: float = 1 / 3
    disable_ocsp_stapling: bool = False  # obeyed either way: nothing is stapled
    must_staple: NotStapled = None
    storage: StorageReference | None = None
    on_demand: bool = False
    reuse_private_keys: bool = False
    ocsp_overrides: NotStapled = None

    _ratio = field_validator("renewal_window_ratio")(_fraction)


class Automation(StrictModel):
    """The policies, in order."""

    policies: list[AutomationPolicy] = Field(default_factory=list)
    renew_interval: Duration = 600.0
    on_demand: OnDemand = Field(default_factory=OnDemand)
    ocsp_interval: NotStapled = None
    storage_clean_interval: Annotated[
        Any, refused("nothing is removed from the storage: leave it out")
    ] = None


def _no_ech(value: object) -> object:
    if value:
        raise ValueError(
            "not with the OpenSSL of Python: versions before 4 cannot decrypt a hello (ECH)"
        )
    return value


class StandardKeys(StrictModel):
    """``tls.stek.standard``: keys in memory, for this deployment."""


class DistributedKeys(StrictModel):
    """``tls.stek.distributed``: keys in the storage, for all who share it, and over restarts."""

    storage: StorageReference = Field(default_factory=StorageReference)


class SessionTicketsConfig(StrictModel):
    """``session_tickets``: the keys that TLS sessions are resumed with."""

    key_source: InlineModule("tls.stek") | None = None  # type: ignore[valid-type]
    rotation_interval: Duration = Field(default=12 * HOUR, gt=0)
    max_keys: int = Field(default=4, ge=1, le=64)
    disable_rotation: bool = False
    disabled: bool = False

    @property
    def is_distributed(self) -> bool:
        """Whether keys are kept in the storage."""
        return self.key_source is not None and self.key_source.spec.name == "distributed"


class TlsApp(StrictModel):
    """``apps.tls``: certificates that are there already, and how to get the others."""

    certificates: ModuleMap("tls.certificates") = Field(default_factory=dict)  # type: ignore[valid-type]
    automation: Automation = Field(default_factory=Automation)
    disable_ocsp_stapling: bool = False  # obeyed either way: nothing is stapled
    disable_storage_check: bool = False  # the storage is not probed at start
    disable_storage_clean: bool = False  # nothing is removed from the storage
    session_tickets: SessionTicketsConfig = Field(default_factory=SessionTicketsConfig)
    cache: Annotated[
        Any,
        refused("every certificate in use is kept, others are read when they are: leave it out"),
    ] = None
    encrypted_client_hello: Annotated[Any, AfterValidator(_no_ech)] = None
    dns: InlineModule("dns.providers") | None = None  # type: ignore[valid-type]
    """The DNS provider of issuers whose challenge by DNS names none."""
    resolvers: list[NameServer] = Field(default_factory=list)
    """Name servers of challenges by DNS that name none."""


class StoredPair(StrictModel):
    """A certificate and its key by their paths below the data directory of the certs room."""

    certificate: str
    key: str
    format: Literal["pem"] = "pem"
    tags: list[str] = Field(default_factory=list)


class LoadStorage(StrictModel):
    """``tls.certificates.load_storage``: what another program put into the storage."""

    storage: StorageReference = Field(default_factory=StorageReference)
    pairs: list[StoredPair] = Field(default_factory=list)


class LoadedFile(StrictModel):
    """A certificate chain and its key in two PEM files; read again when they change."""

    certificate: str
    key: str
    format: Literal["pem"] = "pem"
    tags: list[str] = Field(default_factory=list)


class LoadedPem(StrictModel):
    """A certificate chain and its key as PEM text in the configuration."""

    certificate: str
    key: Secret
    tags: list[str] = Field(default_factory=list)


class LoadFiles(StrictRoot[list[LoadedFile]]):
    """``tls.certificates.load_files``."""


class LoadPem(StrictRoot[list[LoadedPem]]):
    """``tls.certificates.load_pem``."""


class LoadFolders(StrictRoot[list[str]]):
    """``tls.certificates.load_folders``: PEM bundles, and certificates beside keys of the same name."""


class Automate(StrictRoot[list[str]]):
    """``tls.certificates.automate``: names to have certificates for, whether a route names them or not."""


class InternalIssuerConfig(StrictModel):
    """``tls.issuance.internal``: signed by an authority of ``apps.pki``."""

    ca: str = "local"
    lifetime: Duration = 12 * HOUR
    sign_with_root: bool = False

    @field_validator("lifetime")
    @classmethod
    def _is_positive(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("must be longer than nothing")
        return value


class ExternalAccount(StrictModel):
    """Credentials that bind an ACME account to one at the authority (RFC 8555 §7.3.4)."""

    key_id: str
    mac_key: Secret


class PreferredChains(StrictModel):
    """Which chain is taken where an authority offers several."""

    smallest: bool = False
    root_common_name: list[str] = Field(default_factory=list)
    any_common_name: list[str] = Field(default_factory=list)


class AcmeIssuerConfig(StrictModel):
    """``tls.issuance.acme``: a certificate authority that speaks ACME (RFC 8555)."""

    ca: str = LETS_ENCRYPT
    email: str = ""
    profile: str = ""
    account_key: Secret | None = None
    external_account: ExternalAccount | None = None
    acme_timeout: Duration = 0.0
    challenges: Challenges = Field(default_factory=Challenges)
    trusted_roots_pem_files: list[str] = Field(default_factory=list)
    test_ca: NotBuilt = None
    preferred_chains: PreferredChains | None = None
    certificate_lifetime: Duration = Field(default=0.0, ge=0)
    network_proxy: NotBuilt = None

    @field_validator("ca")
    @classmethod
    def _is_https(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError("must be an https:// URL of an ACME directory")
        return value


class ZeroSslIssuerConfig(StrictModel):
    """``tls.issuance.zerossl``: ZeroSSL, by ACME; the account is bound to the owner of the API key.

    Caddy speaks ZeroSSL's own API; certificates by ACME live 90 days, so ``validity_days`` can say nothing else.
    """

    api_key: Secret
    validity_days: int = 0
    listen_host: SpokenByAcme = None
    alternate_http_port: SpokenByAcme = None
    cname_validation: SpokenByAcme = None

    @field_validator("validity_days")
    @classmethod
    def _is_ninety(cls, days: int) -> int:
        if days not in {0, 90}:
            raise ValueError("ZeroSSL issues certificates of 90 days by ACME")
        return days


class KeyPairFiles(StrictModel):
    """A CA certificate and its key that somebody else made."""

    certificate: str
    private_key: str
    format: Literal["pem_file"] = "pem_file"


class AuthorityConfig(StrictModel):
    """One certificate authority of ``apps.pki``.

    ``install_trust`` is noted and never acted upon: only a person puts a root into a trust store.
    """

    name: str = ""
    root_common_name: str = ""
    intermediate_common_name: str = ""
    intermediate_lifetime: Duration = 7 * DAY
    install_trust: bool = True
    root: KeyPairFiles | None = None
    intermediate: KeyPairFiles | None = None
    maintenance_interval: Duration = 600.0
    renewal_window_ratio: float = 0.2
    storage: NotBuilt = None

    _ratio = field_validator("renewal_window_ratio")(_fraction)


_AUTHORITY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class PkiApp(StrictModel):
    """``apps.pki``: certificate authorities by id; ``local`` is there without being named."""

    certificate_authorities: dict[str, AuthorityConfig] = Field(default_factory=dict)

    @field_validator("certificate_authorities")
    @classmethod
    def _ids_are_folder_names(cls, value: dict[str, AuthorityConfig]) -> dict[str, AuthorityConfig]:
        for name in value:
            if not _AUTHORITY_ID.fullmatch(name):
                raise ValueError(f"{name!r} cannot name an authority: letters, digits, _ . -")
        return value

    def authority(self, name: str) -> AuthorityConfig | None:
        """Return the settings of an authority, None when there is none of that id."""
        found = self.certificate_authorities.get(name)
        return AuthorityConfig() if found is None and name == "local" else found
