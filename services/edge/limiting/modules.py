"""What limits requests, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec

MODULES: tuple[ModuleSpec, ...] = (
    ModuleSpec(
        id="http.handlers.rate_limit",
        room="edge",
        config="services.edge.limiting.config:RateLimitConfig",
        implementation="services.edge.limiting.handler:RateLimit",
        summary="so many requests in a time, or at a time",
    ),
)
