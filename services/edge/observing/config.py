"""The configurations of the handlers that tell of requests, by Caddy's names."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel


class LogAppendConfig(StrictModel):
    """``http.handlers.log_append``: one more field in the access log.

    ``value`` is one ``{placeholder}``, the name of a variable, or a text. It is read after the answer, with
    ``early`` before the rest of the chain.
    """

    key: str = Field(min_length=1)
    value: str = ""
    early: bool = False


class MetricsConfig(StrictModel):
    """``http.handlers.metrics``: this process's metrics for Prometheus, on a route."""

    disable_openmetrics: bool = False
