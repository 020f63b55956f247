"""What of a terminal handler's configuration runs in edge, before its room and after it.

Matchers, routes and middleware run in edge only (a request crosses at most one wall). A handler's
configuration that holds some has a property ``border`` of this type; edge carries it out around the
handler and leaves what it found in the request's variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.units import WeakString
from quantum.modules.config import ModuleConfig, RouteConfig
from quantum.modules.header_ops import ResponseRequirement

REWRITTEN_VAR = "proxy.rewritten"
"""[method, target] to send upstream instead of the request's own."""
RETRY_VAR = "proxy.may_retry"
"""Whether ``retry_match`` matches the request."""


class ResponseRule(StrictModel):
    """What becomes of answers that ``match``: another status, or routes that handle them."""

    match: ResponseRequirement | None = None
    status_code: WeakString = ""
    routes: list[RouteConfig] = Field(default_factory=list)


@dataclass(frozen=True)
class Border:
    """The parts for edge. ``responses``: for each rule of ``handle_response`` its routes."""

    rewrite: ModuleConfig | None = None
    retry_match: tuple[dict[str, Any], ...] = ()
    responses: tuple[list[RouteConfig], ...] = ()
