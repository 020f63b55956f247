"""The configuration of ``reverse_proxy``, field by field Caddy's.

A field that Caddy has and that nothing here obeys yet is refused when it is set: a proxy that
silently ignores what it was told is worse than one that does not start.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from quantum.config.model import StrictModel, path_of
from quantum.config.units import Duration
from quantum.errors import ConfigError
from quantum.modules.config import InlineModule
from quantum.modules.header_ops import HeaderOperations, ResponseHeaderOperations
from services.proxy.judging.config import HealthChecks, dial_address


class PartlyBuilt(StrictModel):
    """A model some of whose fields are known to Caddy and not obeyed here yet."""

    unbuilt: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _refuse_unbuilt(cls, value: Any) -> Any:
        for key, given in value.items() if isinstance(value, dict) else ():
            if key.lower() in cls.unbuilt and given not in (None, False, 0, "", [], {}):
                place = f"{path_of(value)}.{key}".lstrip(".")
                raise ConfigError(place, f"known to Caddy, not built here yet: {place}")
        return value


def _network(text: str) -> str:
    if text != "private_ranges":
        ipaddress.ip_network(text, strict=False)
    return text


DialAddress = Annotated[str, AfterValidator(dial_address)]
"""``host:port`` or ``unix//path``, kept as written: it names the upstream everywhere."""


class UpstreamConfig(StrictModel):
    """One backend; ``max_requests`` at a time (0: no limit)."""

    dial: DialAddress
    max_requests: int = Field(default=0, ge=0)


class LoadBalancing(PartlyBuilt):
    """Which upstream, and what to do when it fails. Neither retries nor duration: one attempt."""

    unbuilt = frozenset({"retry_match"})

    selection_policy: InlineModule("http.reverse_proxy.selection_policies") | None = None  # type: ignore[valid-type]
    retries: int = Field(default=0, ge=0)
    try_duration: Duration = Field(default=0.0, ge=0)
    try_interval: Duration = Field(default=0.0, ge=0)
    retry_match: list[Any] = Field(default_factory=list)

    @property
    def interval(self) -> float:
        """Seconds between attempts: 250 ms when only a duration was given (Caddy)."""
        if self.try_duration and not self.try_interval:
            return 0.25
        return self.try_interval


class ProxyHeaders(StrictModel):
    """Changes to the request that goes upstream and to the response that comes back."""

    request: HeaderOperations | None = None
    response: ResponseHeaderOperations | None = None


class ReverseProxyConfig(PartlyBuilt):
    """``http.handlers.reverse_proxy``."""

    unbuilt = frozenset({
        "circuit_breaker", "dynamic_upstreams", "request_buffers", "response_buffers", "rewrite",
        "handle_response", "verbose_logs",
    })  # fmt: skip

    transport: InlineModule("http.reverse_proxy.transport") | None = None  # type: ignore[valid-type]
    circuit_breaker: Any = None
    load_balancing: LoadBalancing = Field(default_factory=LoadBalancing)
    health_checks: HealthChecks = Field(default_factory=HealthChecks)
    upstreams: list[UpstreamConfig] = Field(default_factory=list)
    dynamic_upstreams: Any = None
    flush_interval: Duration = 0.0
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(default_factory=list)
    headers: ProxyHeaders = Field(default_factory=ProxyHeaders)
    request_buffers: int = 0
    response_buffers: int = 0
    stream_timeout: Duration = Field(default=0.0, ge=0)
    stream_buffer_size: int = Field(default=32 * 1024, ge=0)
    stream_close_delay: Duration = Field(default=0.0, ge=0)
    rewrite: Any = None
    handle_response: list[Any] = Field(default_factory=list)
    verbose_logs: bool = False

    def checker_id(self, dial: str) -> str:
        """Name the active check of one upstream: equal checks share probes and standings."""
        active = self.health_checks.active
        transport = json.dumps(self.transport.raw if self.transport else None, sort_keys=True)
        text = f"{active.model_dump_json() if active else ''}|{transport}|{dial}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class KeepAlive(PartlyBuilt):
    """Idle upstream connections: how many of each upstream are kept, and for how long."""

    unbuilt = frozenset({"max_idle_conns"})

    enabled: bool = True
    probe_interval: Duration = Field(default=30.0, ge=0)
    max_idle_conns: int = Field(default=0, ge=0)
    max_idle_conns_per_host: int = Field(default=32, ge=0)
    idle_timeout: Duration = Field(default=120.0, gt=0)


class UpstreamTls(PartlyBuilt):
    """TLS towards upstreams; certificates are verified against ``ca`` or the system's roots."""

    unbuilt = frozenset({
        "client_certificate_automate", "renegotiation", "except_ports", "curves",
    })  # fmt: skip

    ca: dict[str, Any] | None = None
    root_ca_pool: list[str] = Field(default_factory=list)
    root_ca_pem_files: list[str] = Field(default_factory=list)
    client_certificate_file: str = ""
    client_certificate_key_file: str = ""
    client_certificate_automate: str = ""
    insecure_skip_verify: bool = False
    handshake_timeout: Duration = Field(default=0.0, ge=0)
    server_name: str = ""
    renegotiation: str = ""
    except_ports: list[str] = Field(default_factory=list)
    curves: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> UpstreamTls:
        if bool(self.client_certificate_file) != bool(self.client_certificate_key_file):
            raise ValueError("a client certificate needs both its file and its key file")
        if "{" in self.server_name:
            raise ValueError("placeholders in server_name: known to Caddy, not built here yet")
        if self.ca is not None and self.ca.get("provider") not in {"file", "inline", "system"}:
            raise ValueError('ca: the providers built here are "file", "inline" and "system"')
        return self


class HttpTransportConfig(PartlyBuilt):
    """``http.reverse_proxy.transport.http``: how upstreams are reached. HTTP/1.1 for now."""

    unbuilt = frozenset({
        "resolver", "proxy_protocol", "forward_proxy_url", "network_proxy",
        "expect_continue_timeout", "local_address", "compression", "dial_fallback_delay",
    })  # fmt: skip

    resolver: Any = None
    tls: UpstreamTls | None = None
    keep_alive: KeepAlive = Field(default_factory=KeepAlive)
    compression: bool = True
    max_conns_per_host: int = Field(default=0, ge=0)
    proxy_protocol: str = ""
    forward_proxy_url: str = ""
    network_proxy: Any = None
    dial_timeout: Duration = Field(default=3.0, gt=0)
    dial_fallback_delay: Duration = 0.3
    response_header_timeout: Duration = Field(default=0.0, ge=0)
    expect_continue_timeout: Duration = 0.0
    max_response_header_size: int = Field(default=10 * 1024 * 1024, ge=0)
    write_buffer_size: int = Field(default=4096, ge=0)
    read_buffer_size: int = Field(default=4096, ge=0)
    read_timeout: Duration = Field(default=0.0, ge=0)
    write_timeout: Duration = Field(default=0.0, ge=0)
    versions: list[str] = Field(default_factory=lambda: ["1.1", "2"])
    local_address: str = ""

    @model_validator(mode="after")
    def _check_versions(self) -> HttpTransportConfig:
        unknown = set(self.versions) - {"1.1", "2", "h2c", "3"}
        if unknown:
            raise ValueError(f"versions: {min(unknown)!r} is none of 1.1, 2, h2c, 3")
        if "1.1" not in self.versions or {"h2c", "3"} & set(self.versions):
            raise ValueError(
                "versions: known to Caddy, not built here yet: upstreams over h2c or HTTP/3"
            )
        return self
