"""What limits requests, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec
from services.edge.specs import folder

_handler = folder("limiting", "http.handlers")

MODULES: tuple[ModuleSpec, ...] = (
    _handler(
        "rate_limit", "RateLimitConfig", "handler:RateLimit",
        "so many requests in a time, or at a time",
    ),
)  # fmt: skip
