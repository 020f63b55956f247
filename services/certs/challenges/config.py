"""The challenges of an ACME issuer, and who changes DNS zones (Caddy's fields, and those of its plugins)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.units import Duration, NetworkAddress, Secret
from quantum.config.urls import HttpUrl
from quantum.modules.config import InlineModule

DNS_PORT = 53
PROPAGATION_SECONDS = 120.0
"""How long a record may take until the name servers have it, when nothing is said (certmagic's)."""
NO_CHECK = -0.000000001
"""``propagation_timeout`` of -1 nanosecond: the record is not looked for."""

Port = Annotated[int, Field(ge=0, le=65535)]


def _name_server(text: str) -> str:
    address = NetworkAddress.parse(text, default_port=DNS_PORT)
    if address.is_unix or address.is_fd or not address.host:
        raise ValueError(f"{text!r} is no address of a name server")
    return text


NameServer = Annotated[str, AfterValidator(_name_server)]
"""Host or address of a DNS server, with a port if it is not 53."""


class HttpChallenge(StrictModel):
    """HTTP-01 (RFC 8555 §8.3). Every plain HTTP port of edge answers, ``alternate_port`` among them."""

    disabled: bool = False
    alternate_port: Port = 0


class TlsAlpnChallenge(StrictModel):
    """TLS-ALPN-01 (RFC 8737). Every TLS port of edge answers, ``alternate_port`` among them."""

    disabled: bool = False
    alternate_port: Port = 0


class DnsChallenge(StrictModel):
    """DNS-01 (RFC 8555 §8.4): a record that ``provider`` (none: that of ``apps.tls.dns``) sets for a while.

    ``resolvers``: asked for the zone, and looked at instead of the zone's own servers.
    ``override_domain``: set the record there, because the name it belongs to is an alias of it.
    """

    provider: InlineModule("dns.providers") | None = None  # type: ignore[valid-type]
    ttl: Duration = Field(default=0.0, ge=0)
    propagation_delay: Duration = Field(default=0.0, ge=0)
    propagation_timeout: Duration = 0.0
    resolvers: list[NameServer] = Field(default_factory=list)
    override_domain: str = ""

    @field_validator("propagation_timeout")
    @classmethod
    def _is_time_or_minus_one(cls, seconds: float) -> float:
        if seconds < 0 and seconds != NO_CHECK:
            raise ValueError("must be a duration, or -1 to wait for nothing")
        return seconds


class Challenges(StrictModel):
    """Which challenges may prove a name. With ``dns`` there it is the only one (Caddy's rule).

    ``bind_host`` and ``distributed`` are obeyed either way: any edge of the deployment answers.
    """

    http: HttpChallenge = Field(default_factory=HttpChallenge)
    tls_alpn: TlsAlpnChallenge = Field(default_factory=TlsAlpnChallenge, alias="tls-alpn")
    dns: DnsChallenge | None = None
    bind_host: str = ""
    distributed: bool = True


class Rfc2136Config(StrictModel):
    """``dns.providers.rfc2136``: dynamic updates (RFC 2136) signed with a key (RFC 8945)."""

    server: NameServer
    key_name: str = ""
    key_alg: Literal["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] = (
        "hmac-sha256"
    )
    key: Secret | None = None

    @field_validator("key_alg", mode="before")
    @classmethod
    def _without_dot(cls, value: object) -> object:
        return value.lower().removesuffix(".") if isinstance(value, str) else value


class CloudflareConfig(StrictModel):
    """``dns.providers.cloudflare``: API tokens; ``zone_token`` for one that may only list zones."""

    api_token: Secret
    zone_token: Secret | None = None


class DuckDnsConfig(StrictModel):
    """``dns.providers.duckdns``: a domain below duckdns.org, with room for one record."""

    api_token: Secret
    override_domain: str = ""


class AcmeDnsAccount(StrictModel):
    """What an acme-dns server gave at registration; ``fulldomain`` is where its record is."""

    username: str
    password: Secret
    subdomain: str
    server_url: HttpUrl
    fulldomain: str = ""
    allowfrom: list[str] = Field(default_factory=list)


class AcmeDnsConfig(StrictModel):
    """``dns.providers.acmedns``: one account, accounts by domain, or a file with either."""

    username: str = ""
    password: Secret | None = None
    subdomain: str = ""
    server_url: str = ""
    config: dict[str, AcmeDnsAccount] = Field(default_factory=dict)
    config_file_path: str = ""


class AcmeProxyConfig(StrictModel):
    """``dns.providers.acmeproxy``: ``POST endpoint/present`` and ``/cleanup``: lego's httpreq, any web hook."""

    endpoint: HttpUrl
    username: str = ""
    password: Secret | None = None
