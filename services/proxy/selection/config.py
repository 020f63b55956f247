"""The configurations of the selection policies (``http.reverse_proxy.selection_policies.*``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.units import Duration, Secret
from quantum.modules.config import InlineModule

Fallback = InlineModule("http.reverse_proxy.selection_policies")


class PlainPolicy(StrictModel):
    """A policy without settings: random, round_robin, least_conn, first, and hashes of one fact."""


class RandomChoosePolicy(StrictModel):
    """The less busy of ``choose`` random upstreams."""

    choose: int = Field(default=2, ge=2)


class WeightedPolicy(StrictModel):
    """Round robin by weights, in the order of the upstreams; what has no weight here counts by its own."""

    weights: list[int] = Field(default_factory=list)


class PeakEwmaPolicy(StrictModel):
    """The one that will probably answer first; ``decay``: how long a slow answer is remembered. An extension."""

    decay: Duration = Field(default=10.0, gt=0)


class HeaderPolicy(StrictModel):
    """The hash of a request field; ``fallback`` when the request does not have it."""

    field: str = Field(min_length=1)
    fallback: Fallback | None = None  # type: ignore[valid-type]


class QueryPolicy(StrictModel):
    """The hash of a query parameter."""

    key: str = Field(min_length=1)
    fallback: Fallback | None = None  # type: ignore[valid-type]


class CookiePolicy(StrictModel):
    """Stickiness by a cookie that names the upstream without telling its address."""

    name: str = "lb"
    secret: Secret = Field(default_factory=lambda: Secret(""))
    max_age: Duration = Field(default=0.0, ge=0)
    fallback: Any = None
