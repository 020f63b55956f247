"""The configuration of ``http.handlers.tracing``; where spans go says the environment (OTEL_*)."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel


class TracingConfig(StrictModel):
    """``span`` names the span; values of ``span_attributes`` may hold placeholders, of the answer too."""

    span: str = ""
    span_attributes: dict[str, str] = Field(default_factory=dict)
