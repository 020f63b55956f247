"""The configurations of sources of upstreams (``http.reverse_proxy.upstreams.*``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.units import Duration, NetworkAddress, WeakString
from quantum.modules.config import InlineModule

DNS_PORT = 53


def _server(text: str) -> str:
    address = NetworkAddress.parse(text, default_port=DNS_PORT)
    if address.is_unix or address.is_fd:
        raise ValueError(f"{text!r} is no address of a DNS server")
    return text


class ResolverConfig(StrictModel):
    """DNS servers to ask instead of the system's."""

    addresses: list[Annotated[str, AfterValidator(_server)]] = Field(default_factory=list)


class IpVersions(StrictModel):
    """Which addresses are wanted. Neither given: both."""

    ipv4: bool | None = None
    ipv6: bool | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The record types to ask for."""
        if self.ipv4 is None and self.ipv6 is None:
            return ("A", "AAAA")
        return ("A",) * (self.ipv4 is True) + ("AAAA",) * (self.ipv6 is True)


class ASource(StrictModel):
    """``a``: every address of a name. ``name`` and ``port`` may have placeholders."""

    name: str = Field(min_length=1)
    port: WeakString = "80"
    refresh: Duration = Field(default=60.0, ge=0)
    resolver: ResolverConfig | None = None
    dial_timeout: Duration = Field(default=0.0, ge=0)
    dial_fallback_delay: Duration = 0.0
    versions: IpVersions = Field(default_factory=IpVersions)

    @field_validator("versions")
    @classmethod
    def _wants_some(cls, versions: IpVersions) -> IpVersions:
        if not versions.wanted:
            raise ValueError("neither ipv4 nor ipv6 is wanted")
        return versions


class SrvSource(StrictModel):
    """``srv``: hosts and ports from SRV records, of ``_service._proto.name`` or of ``name`` alone.

    ``grace_period``: for how long the last answer is used after ``refresh`` while none can be had.
    """

    service: str = ""
    proto: str = ""
    name: str = Field(min_length=1)
    refresh: Duration = Field(default=60.0, ge=0)
    grace_period: Duration = Field(default=0.0, ge=0)
    resolver: ResolverConfig | None = None
    dial_timeout: Duration = Field(default=0.0, ge=0)
    dial_fallback_delay: Duration = 0.0
    dial_network: str = ""


class MultiSource(StrictModel):
    """``multi``: what several sources find, together; one that fails is left out."""

    sources: list[InlineModule("http.reverse_proxy.upstreams")] = Field(min_length=1)  # type: ignore[valid-type]
