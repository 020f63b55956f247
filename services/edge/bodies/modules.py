"""The handlers of bodies, as modules."""

from __future__ import annotations

from services.edge.specs import folder

_handler = folder("bodies", "http.handlers")

MODULES = (
    _handler(
        "request_body", "RequestBodyConfig", "request_body:RequestBody", "bounds or replaces a body"
    ),
    _handler(
        "timeouts", "TimeoutsConfig", "timeouts:Timeouts", "how slow clients of a route may be"
    ),
)
