"""``http.handlers.acme_server`` (Caddy's fields)."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.units import Duration, NetworkAddress

HALF_A_DAY = 12 * 3600.0
DNS_PORT = 53

ChallengeKind = Literal["http-01", "tls-alpn-01", "dns-01"]
ALL_CHALLENGES: tuple[ChallengeKind, ...] = ("http-01", "dns-01", "tls-alpn-01")

_DOMAIN = re.compile(r"(\*\.)?([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")


def _domain(text: str) -> str:
    lowered = text.lower()
    if not _DOMAIN.fullmatch(lowered):
        raise ValueError(f"{text!r} is no domain name, or *. and one")
    return lowered


def _range(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


class RuleConfig(StrictModel):
    """Names and addresses that a rule is about; ``*.a`` stands for one label before ``a``."""

    domains: list[Annotated[str, AfterValidator(_domain)]] = Field(default_factory=list)
    ip_ranges: list[Annotated[str, AfterValidator(_range)]] = Field(default_factory=list)


class PolicyConfig(StrictModel):
    """Who may be certified: denied first, then allowed; where anything is allowed, nothing else is."""

    allow: RuleConfig = Field(default_factory=RuleConfig)
    deny: RuleConfig = Field(default_factory=RuleConfig)
    allow_wildcard_names: bool = False


class AcmeServerConfig(StrictModel):
    """An ACME server for one authority of ``apps.pki``."""

    ca: str = "local"
    lifetime: Duration = Field(default=HALF_A_DAY, gt=0)
    host: str = ""
    path_prefix: str = "/acme/"
    sign_with_root: bool = False
    resolvers: list[str] = Field(default_factory=list)
    challenges: list[ChallengeKind] = Field(default_factory=lambda: list(ALL_CHALLENGES))
    policy: PolicyConfig | None = None

    @field_validator("path_prefix")
    @classmethod
    def _has_slashes(cls, prefix: str) -> str:
        if not prefix.startswith("/"):
            raise ValueError("must begin with a slash")
        return prefix.rstrip("/") + "/"

    @field_validator("resolvers")
    @classmethod
    def _are_addresses(cls, resolvers: list[str]) -> list[str]:
        for text in resolvers:
            address = NetworkAddress.parse(text, default_port=DNS_PORT)
            ipaddress.ip_address(address.host)
        return resolvers
