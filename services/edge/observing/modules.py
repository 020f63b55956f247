"""The handlers that tell of requests, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec

MODULES: tuple[ModuleSpec, ...] = (
    ModuleSpec(
        id="http.handlers.log_append",
        room="edge",
        config="services.edge.observing.config:LogAppendConfig",
        implementation="services.edge.observing.log_append:LogAppend",
        summary="one more field in the access log",
    ),
    ModuleSpec(
        id="http.handlers.metrics",
        room="edge",
        config="services.edge.observing.config:MetricsConfig",
        implementation="services.edge.observing.metrics_page:MetricsPage",
        summary="this process's metrics as a page",
    ),
)
