"""The configuration of health checks: Caddy's fields, and extensions that are off unless they are set.

Extensions: ``active.protocol`` and ``active.grpc_service``, ``outlier``, ``circuit_breaker``,
``panic_threshold``, ``slow_start``.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from quantum.config.model import StrictModel
from quantum.config.pattern import PatternText
from quantum.config.units import Duration, NetworkAddress


def dial_address(text: str) -> str:
    """Return ``text`` if it names one upstream; ValueError tells why it does not."""
    if "{" in text:
        raise ValueError("placeholders in dial addresses are known to Caddy, not built here yet")
    address = NetworkAddress.parse(text)
    if not address.is_stream or address.is_fd:
        raise ValueError(f"{text!r} cannot be dialled: use host:port or unix//path")
    if address.start_port != address.end_port:
        raise ValueError(f"{text!r} is a range of ports: list its upstreams one by one")
    return text


def _status(value: int) -> int:
    if not (1 <= value <= 5 or 100 <= value <= 599):
        raise ValueError("must be a status code, or one digit for a class (2 means 2xx)")
    return value


def _optional_address(text: str) -> str:
    return dial_address(text) if text else text


StatusCode = Annotated[int, AfterValidator(_status)]
OptionalAddress = Annotated[str, AfterValidator(_optional_address)]
Share = Annotated[float, Field(gt=0, le=1)]


class ActiveChecks(StrictModel):
    """Probes that the health room sends. ``uri`` wins over the deprecated ``path``, ``upstream`` over ``port``.

    ``protocol`` and ``grpc_service`` are extensions: a plain connection, or ``grpc.health.v1``.
    """

    protocol: Literal["http", "tcp", "grpc"] = "http"
    grpc_service: str = ""
    uri: str = ""
    path: str = ""
    upstream: OptionalAddress = ""
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
    expect_body: PatternText = ""

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


class OutlierDetection(StrictModel):
    """Leaves out upstreams that do clearly worse than the others; an extension.

    ``min_requests``: what must have been seen of an upstream in ``window``. ``max_error_rate``: 5xx and failed
    attempts among its requests. ``latency_factor``: its mean latency over the median of the others', if it
    is also above ``min_latency``; 0: latency is not looked at. Left out for ``eject_for``, longer with each
    time in a row, up to ``max_eject_for``; never more than the share ``max_ejected`` of the upstreams (but one
    always may be).
    """

    window: Duration = Field(default=10.0, ge=1, le=600)
    min_requests: int = Field(default=20, ge=1)
    max_error_rate: Share = 0.2
    latency_factor: float = Field(default=0.0, ge=0)
    min_latency: Duration = Field(default=0.1, ge=0)
    eject_for: Duration = Field(default=30.0, gt=0)
    max_eject_for: Duration = Field(default=300.0, gt=0)
    max_ejected: Share = 0.5


class CircuitBreaker(StrictModel):
    """Stops requests to an upstream that fails, then tries with a few; an extension.

    Open after ``max_error_rate`` of at least ``min_requests`` in ``window`` failed; after ``open_for`` half open:
    one trial at a time, closed after ``trials`` good ones, open again (twice as long, up to
    ``max_open_for``) after a bad one.
    """

    window: Duration = Field(default=10.0, ge=1, le=600)
    min_requests: int = Field(default=10, ge=1)
    max_error_rate: Share = 0.5
    open_for: Duration = Field(default=5.0, gt=0)
    max_open_for: Duration = Field(default=60.0, gt=0)
    trials: int = Field(default=3, ge=1)


class SlowStart(StrictModel):
    """An upstream that came back gets its share of requests little by little; an extension."""

    duration: Duration = Field(gt=0)
    min_share: Share = 0.1


class HealthChecks(StrictModel):
    """All kinds of checks; each may be absent.

    ``panic_threshold`` (extension): when fewer than this share of the upstreams are healthy, health is
    ignored and all are used; 0: never.
    """

    active: ActiveChecks | None = None
    passive: PassiveChecks | None = None
    outlier: OutlierDetection | None = None
    circuit_breaker: CircuitBreaker | None = None
    slow_start: SlowStart | None = None
    panic_threshold: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> HealthChecks:
        if self.outlier is not None and self.outlier.max_eject_for < self.outlier.eject_for:
            raise ValueError("outlier: max_eject_for must not be below eject_for")
        return self

    def passive_id(self, dial: str) -> str:
        """Name what proxies conclude together of one upstream: equal rules share a standing."""
        rules = [rule.model_dump_json() if rule else "" for rule in (self.passive, self.outlier)]
        text = "|".join([*rules, dial])
        return "passive-" + hashlib.sha256(text.encode()).hexdigest()[:16]
