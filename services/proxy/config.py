"""The configuration of ``reverse_proxy``, field by field Caddy's."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from quantum.config.model import StrictModel, path_of
from quantum.config.units import Duration
from quantum.modules.border import Border, ResponseRule
from quantum.modules.config import (
    InlineModule,
    MatcherSet,
    ModuleConfig,
    parse_named,
)
from quantum.modules.header_ops import (
    HeaderOperations,
    ResponseHeaderOperations,
    ResponseRequirement,
)
from services.proxy.judging.config import HealthChecks, dial_address


def _network(text: str) -> str:
    if text != "private_ranges":
        ipaddress.ip_network(text, strict=False)
    return text


def _no_breaker(value: Any) -> None:
    if value:
        raise ValueError(
            "a place for plugins of Caddy, which brings none: the breaker here is set by"
            ' "health_checks": {"circuit_breaker": {}}'
        )


def _dial(text: str) -> str:
    return text if "{" in text else dial_address(text)


DialAddress = Annotated[str, AfterValidator(_dial)]
"""``host:port`` or ``unix//path``, kept as written: it names the upstream everywhere. Placeholders become
an address with each request."""


class UpstreamConfig(StrictModel):
    """One backend; ``max_requests`` at a time (0: no limit).

    Extensions: ``weight`` (for ``weighted_round_robin`` and ``peak_ewma``), ``backup`` (used while no other
    upstream is available), ``zone`` (see ``load_balancing.zone_preference``).
    """

    dial: DialAddress
    max_requests: int = Field(default=0, ge=0)
    weight: int = Field(default=1, ge=0)
    backup: bool = False
    zone: str = ""


class QueueConfig(StrictModel):
    """Requests wait while every upstream has ``max_requests``: ``max`` of them, each for ``timeout``."""

    max: int = Field(default=1000, ge=1)
    timeout: Duration = Field(default=5.0, gt=0)


class RetryBudgetConfig(StrictModel):
    """Of the requests of ten seconds at most this share is retried; ``min`` retries are always allowed."""

    share: float = Field(default=0.2, ge=0, le=1)
    min: int = Field(default=3, ge=0)


class ZonePreference(StrictModel):
    """Upstreams of ``zone`` (placeholders: ``{env.ZONE}``) take all requests while ``min_available`` of them can."""

    zone: str = Field(min_length=1)
    min_available: float = Field(default=0.5, ge=0, le=1)


class LoadBalancing(StrictModel):
    """Which upstream, and what to do when it fails. Neither retries nor duration: one attempt.

    ``retry_match``: requests that are retried whatever their method (else GET alone is).

    Extensions, off unless they are set: ``retry_on`` (answers that are retried like failures),
    ``retry_budget``, ``queue``, ``zone_preference``.
    """

    selection_policy: InlineModule("http.reverse_proxy.selection_policies") | None = None  # type: ignore[valid-type]
    retries: int = Field(default=0, ge=0)
    try_duration: Duration = Field(default=0.0, ge=0)
    try_interval: Duration = Field(default=0.0, ge=0)
    retry_match: list[MatcherSet] = Field(default_factory=list)
    retry_on: ResponseRequirement | None = None
    retry_budget: RetryBudgetConfig | None = None
    queue: QueueConfig | None = None
    zone_preference: ZonePreference | None = None

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


def _parse_rewrite(value: Any) -> ModuleConfig:
    if isinstance(value, ModuleConfig):
        return value
    return parse_named("http.handlers", "rewrite", value, path_of(value))


Rewrite = Annotated[
    ModuleConfig, BeforeValidator(_parse_rewrite), PlainSerializer(lambda module: module.raw)
]
"""The configuration of a ``rewrite`` handler."""

BUFFER_ALL = -1
"""``request_buffers`` and ``response_buffers``: the whole body, however long."""


class ReverseProxyConfig(StrictModel):
    """``http.handlers.reverse_proxy``."""

    transport: InlineModule("http.reverse_proxy.transport") | None = None  # type: ignore[valid-type]
    circuit_breaker: Annotated[Any, BeforeValidator(_no_breaker)] = None
    load_balancing: LoadBalancing = Field(default_factory=LoadBalancing)
    health_checks: HealthChecks = Field(default_factory=HealthChecks)
    upstreams: list[UpstreamConfig] = Field(default_factory=list)
    dynamic_upstreams: InlineModule("http.reverse_proxy.upstreams") | None = None  # type: ignore[valid-type]
    flush_interval: Duration = 0.0
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(default_factory=list)
    headers: ProxyHeaders = Field(default_factory=ProxyHeaders)
    request_buffers: int = Field(default=0, ge=BUFFER_ALL)
    response_buffers: int = Field(default=0, ge=BUFFER_ALL)
    stream_timeout: Duration = Field(default=0.0, ge=0)
    stream_buffer_size: int = Field(default=32 * 1024, ge=0)
    stream_close_delay: Duration = Field(default=0.0, ge=0)
    rewrite: Rewrite | None = None
    handle_response: list[ResponseRule] = Field(default_factory=list)
    verbose_logs: bool = False

    @model_validator(mode="after")
    def _check_can_be_probed(self) -> ReverseProxyConfig:
        active = self.health_checks.active
        if active is None or active.protocol == "tcp" or active.upstream or active.port:
            return self
        if self.transport is not None and self.transport.spec.id.endswith(".fastcgi"):
            raise ValueError(
                'health_checks.active: a FastCGI server is checked with "protocol": "tcp", '
                'or over HTTP on another "port" or "upstream"'
            )
        return self

    @property
    def is_dynamic(self) -> bool:
        """Whether the upstreams depend on the request."""
        named = any("{" in upstream.dial for upstream in self.upstreams)
        return named or self.dynamic_upstreams is not None

    @property
    def border(self) -> Border | None:
        """What of this runs in edge; None: nothing."""
        retry_match, rules = self.load_balancing.retry_match, self.handle_response
        if self.rewrite is None and not retry_match and not rules:
            return None
        return Border(self.rewrite, tuple(retry_match), tuple(rule.routes for rule in rules))

    def checker_id(self, dial: str) -> str:
        """Name the active check of one upstream: equal checks share probes and standings."""
        active = self.health_checks.active
        transport = json.dumps(self.transport.raw if self.transport else None, sort_keys=True)
        text = f"{active.model_dump_json() if active else ''}|{transport}|{dial}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]
