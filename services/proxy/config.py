"""The configuration of ``reverse_proxy``, field by field Caddy's.

A field that Caddy has and that nothing here obeys yet is refused when it is set: a proxy that
silently ignores what it was told is worse than one that does not start.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from quantum.config.model import StrictModel, path_of
from quantum.config.units import Duration, NetworkAddress
from quantum.errors import ConfigError
from quantum.modules.config import InlineModule
from quantum.modules.header_ops import HeaderOperations, ResponseHeaderOperations


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


def _dial_address(text: str) -> str:
    if "{" in text:
        raise ValueError("placeholders in dial addresses are known to Caddy, not built here yet")
    address = NetworkAddress.parse(text)
    if not address.is_stream or address.is_fd:
        raise ValueError(f"{text!r} cannot be dialled: use host:port or unix//path")
    if address.start_port != address.end_port:
        raise ValueError(f"{text!r} is a range of ports: list its upstreams one by one")
    return text


def _network(text: str) -> str:
    if text != "private_ranges":
        ipaddress.ip_network(text, strict=False)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _status(value: int) -> int:
    if not (1 <= value <= 5 or 100 <= value <= 599):
        raise ValueError("must be a status code, or one digit for a class (2 means 2xx)")
    return value


DialAddress = Annotated[str, AfterValidator(_dial_address)]
"""``host:port`` or ``unix//path``, kept as written: it names the upstream everywhere."""
StatusCode = Annotated[int, AfterValidator(_status)]
Pattern = Annotated[str, AfterValidator(_pattern)]


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


class ActiveChecks(PartlyBuilt):
    """Probes that the health room sends. ``uri`` wins over the deprecated ``path``."""

    unbuilt = frozenset({"upstream"})

    uri: str = ""
    path: str = ""
    upstream: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    headers: dict[str, list[str]] = Field(default_factory=dict)
    method: str = "GET"
    body: str = ""
    follow_redirects: bool = False
    interval: Duration = Field(default=30.0, gt=0)
    timeout: Duration = Field(default=5.0, gt=0)
    passes: int = Field(default=1, ge=1)
    fails: int = Field(default=1, ge=1)
    max_size: int = Field(default=0, ge=0)
    expect_status: StatusCode | None = None
    expect_body: Pattern = ""

    @property
    def target(self) -> str:
        """The path and query to probe."""
        return self.uri or self.path or "/"


class PassiveChecks(StrictModel):
    """What the proxy concludes from its own requests; off while ``fail_duration`` is 0."""

    fail_duration: Duration = Field(default=0.0, ge=0)
    max_fails: int = Field(default=1, ge=1)
    unhealthy_request_count: int = Field(default=0, ge=0)
    unhealthy_status: list[StatusCode] = Field(default_factory=list)
    unhealthy_latency: Duration = Field(default=0.0, ge=0)


class HealthChecks(StrictModel):
    """Both kinds of checks; either may be absent."""

    active: ActiveChecks | None = None
    passive: PassiveChecks | None = None


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
