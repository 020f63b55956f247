"""``apps.http``: servers, where they listen, how they speak TLS and what they serve (Caddy's fields).

Every field of Caddy's server is known here. One that is not obeyed yet may say what it would anyway
and is refused by name otherwise: a bound that is silently not kept is worse than an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from quantum.config.model import StrictModel
from quantum.config.unbuilt import refused
from quantum.config.units import Duration, NetworkAddress, StringArray
from quantum.modules.config import ErrorRoutes, InlineModule, RouteConfig
from services.edge.tls.config import ConnectionPolicy

MAX_HEAD_BYTES = 16 * 1024
"""Caddy's ``max_header_bytes`` since June 2026."""

_EXPECTED = re.compile(r"[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?")
"""A field's name (RFC 9110 §5.6.2), or the beginning of one with an asterisk behind it."""

Protocol = Literal["h1", "h2", "h2c", "h3"]


class StaticRanges(StrictModel):
    """``http.ip_sources.static``: addresses and CIDR ranges, or ``private_ranges``."""

    ranges: list[str] = Field(default_factory=list)


class AutomaticHttps(StrictModel):
    """What is done by itself for names in host matchers."""

    disable: bool = False
    disable_redirects: bool = False
    disable_certificates: bool = False
    skip: list[str] = Field(default_factory=list)
    skip_certificates: list[str] = Field(default_factory=list)
    ignore_loaded_certificates: bool = False
    """Certificates are obtained for the server's names though others were loaded; the obtained ones are shown."""


class ServerLogs(StrictModel):
    """The access log of a server; its presence turns the log on."""

    default_logger_name: str = ""
    logger_names: dict[str, StringArray] = Field(default_factory=dict)
    skip_hosts: list[str] = Field(default_factory=list)
    skip_unmapped_hosts: bool = False
    should_log_credentials: bool = False
    trace: bool = False
    """Each handler that a request comes to is logged at level debug, as ``http.log.trace``."""


def _names_with(character: str) -> Callable[[list[str]], list[str]]:
    """Return the check of an allow list: names that have the character, or begin so (``name_*``)."""

    def check(names: list[str]) -> list[str]:
        for name in names:
            if _EXPECTED.fullmatch(name) is None or character not in name:
                raise ValueError(
                    f"{name!r}: names of fields that contain {character!r}, whole or the beginning and *"
                )
        return names

    return check


def _default_protocols() -> list[Protocol]:
    return ["h1", "h2", "h3"]


class ServerMetrics(StrictModel):
    """``per_host``: also by Host, where a route names it or TLS is spoken; the others are ``_other``."""

    per_host: bool = False


class Server(StrictModel):
    """One server: addresses, protocols, bounds and routes. Durations are seconds, 0 is none."""

    listen: list[NetworkAddress] = Field(default_factory=list)
    routes: list[RouteConfig] = Field(default_factory=list)
    errors: ErrorRoutes | None = None
    named_routes: dict[str, RouteConfig] = Field(default_factory=dict)
    protocols: list[Protocol] = Field(default_factory=_default_protocols)
    listen_protocols: list[list[Protocol] | None] | None = None
    allow_0rtt: bool = True
    tls_connection_policies: list[ConnectionPolicy] = Field(default_factory=list)
    automatic_https: AutomaticHttps = Field(default_factory=AutomaticHttps)
    logs: ServerLogs | None = None

    read_header_timeout: Duration = 60.0
    read_timeout: Duration = 0.0
    read_idle_timeout: Duration = 60.0
    read_min_rate: int = Field(0, ge=0)
    write_timeout: Duration = 0.0
    write_idle_timeout: Duration = 60.0
    write_min_rate: int = Field(0, ge=0)
    max_write_chunk: int = Field(0, ge=0)
    idle_timeout: Duration = 300.0
    keepalive_interval: Duration = 15.0
    keepalive_idle: Duration = 15.0
    keepalive_count: int = 9
    max_header_bytes: int = MAX_HEAD_BYTES
    enable_full_duplex: bool = False  # bodies always flow both ways at once

    strict_sni_host: bool | None = None
    trusted_proxies: InlineModule("http.ip_sources") | None = None  # type: ignore[valid-type]
    trusted_proxies_strict: int = 0
    trusted_proxies_unix: bool = False
    client_ip_headers: list[str] = Field(default_factory=lambda: ["X-Forwarded-For"])

    listener_wrappers: list[InlineModule("caddy.listeners")] = Field(default_factory=list)  # type: ignore[valid-type]
    packet_conn_wrappers: Annotated[
        Any, refused("its modules are plugins of Caddy; datagrams are QUIC's alone here")
    ] = None
    expected_underscore_headers: Annotated[list[str], AfterValidator(_names_with("_"))] = Field(
        default_factory=list
    )
    expected_dot_headers: Annotated[list[str], AfterValidator(_names_with("."))] = Field(
        default_factory=list
    )
    metrics: ServerMetrics | None = None
    """Of old Caddy: as ``apps.http.metrics``, which counts where both are given."""

    @field_validator("listen")
    @classmethod
    def _only_streams(cls, listen: list[NetworkAddress]) -> list[NetworkAddress]:
        for address in listen:
            if not address.is_stream:
                raise ValueError(f"{address}: a server listens on tcp, unix or fd")
        return listen

    @field_validator("max_header_bytes")
    @classmethod
    def _bounds_heads(cls, size: int) -> int:
        if size < 0:
            raise ValueError("cannot be negative")
        return size or MAX_HEAD_BYTES

    @field_validator("protocols")
    @classmethod
    def _has_h1(cls, protocols: list[Protocol]) -> list[Protocol]:
        if protocols and "h1" not in protocols:
            raise ValueError("a server without h1 is not built here yet")
        return protocols or _default_protocols()

    @field_validator("listen_protocols")
    @classmethod
    def _have_h1(
        cls, protocols: list[list[Protocol] | None] | None
    ) -> list[list[Protocol] | None] | None:
        for own in protocols or ():
            if own and "h1" not in own:
                raise ValueError("a listener without h1 is not built here yet")
        return protocols

    @model_validator(mode="after")
    def _protocols_match_listeners(self) -> Server:
        if self.listen_protocols is not None and len(self.listen_protocols) != len(self.listen):
            raise ValueError("listen_protocols has one entry for each of listen, null to inherit")
        return self

    def protocols_at(self, index: int) -> list[Protocol]:
        """Return what is spoken on the address ``listen[index]``."""
        own = self.listen_protocols[index] if self.listen_protocols is not None else None
        return own or self.protocols


class HttpMetrics(ServerMetrics):
    """Request metrics; the presence of the object turns them on."""

    observe_catchall_hosts: bool = False
    otlp: Annotated[
        Any, refused("metrics are asked for here (/metrics), not sent: let a collector do both")
    ] = None


class HttpApp(StrictModel):
    """All servers of a configuration."""

    http_port: int = 80
    https_port: int = 443
    grace_period: Duration = 0.0
    shutdown_delay: Duration = 0.0
    servers: dict[str, Server] = Field(default_factory=dict)
    metrics: HttpMetrics | None = None

    @property
    def request_metrics(self) -> HttpMetrics | None:
        """What counts of the app's and its servers' ``metrics``."""
        if self.metrics is not None:
            return self.metrics
        own = next((s.metrics for s in self.servers.values() if s.metrics is not None), None)
        return None if own is None else HttpMetrics(per_host=own.per_host)

    @field_validator("http_port", "https_port")
    @classmethod
    def _is_port(cls, port: int) -> int:
        if not 0 <= port <= 65535:
            raise ValueError("must be a port number")
        return port
