"""``tls.ca_pool.source.*``: where trusted roots come from (Caddy's fields).

The same pools say whom edge trusts among clients and whom the proxy and the health room trust among
upstreams. Only the models live here; ``quantum.trust.pools`` reads what they name.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from quantum.config.model import StrictModel
from quantum.config.unbuilt import NotBuilt
from quantum.config.urls import HttpUrl
from quantum.modules.config import InlineModule, ModuleConfig

NAMESPACE = "tls.ca_pool.source"


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


def _certificate(text: str) -> str:
    pem_of(text)
    return text


InlineCertificate = Annotated[str, AfterValidator(_certificate)]
"""A certificate in base64 DER."""


class FilePool(StrictModel):
    """Roots in PEM files."""

    pem_files: list[str] = Field(min_length=1)


class InlinePool(StrictModel):
    """Roots in the configuration."""

    trusted_ca_certs: list[InlineCertificate] = Field(min_length=1)


class SystemPool(StrictModel):
    """The roots that the operating system trusts."""


class StorageReference(StrictModel):
    """Which storage: there is one, the data directory of the certs room."""

    module: Literal["file_system"] = "file_system"
    root: NotBuilt = None


class StoragePool(StrictModel):
    """Roots that the certs room keeps: keys are paths below its data directory."""

    storage: StorageReference = Field(default_factory=StorageReference)
    pem_keys: list[str] = Field(min_length=1)


class AuthorityPool(StrictModel):
    """Certificates of authorities in ``apps.pki``, by id."""

    authority: list[str] = Field(min_length=1)


class PoolTls(StrictModel):
    """How the servers of an ``http`` pool are verified."""

    ca: InlineModule(NAMESPACE) | None = None  # type: ignore[valid-type]
    insecure_skip_verify: bool = False
    handshake_timeout: NotBuilt = None
    server_name: NotBuilt = None
    renegotiation: Literal["", "never"] = ""


class HttpPool(StrictModel):
    """Roots that web servers have, PEM; read when the configuration is loaded."""

    endpoints: list[HttpUrl] = Field(min_length=1)
    tls: PoolTls | None = None


class CombinedPool(StrictModel):
    """Whatever any of several pools trusts."""

    sources: list[InlineModule(NAMESPACE)] = Field(min_length=1)  # type: ignore[valid-type]


TrustPool = InlineModule(NAMESPACE)
"""The type of a field that names a pool."""


def sources_of(pool: ModuleConfig) -> list[ModuleConfig]:
    """Return the pools that ``pool`` is made of, itself unless it is combined."""
    if pool.spec.name != "combined":
        return [pool]
    return [leaf for source in pool.config.sources for leaf in sources_of(source)]
