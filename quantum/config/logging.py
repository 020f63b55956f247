"""``logging``: how much the process says, and how. Caddy's section, as far as it is obeyed here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from quantum.config.model import StrictModel

DEFAULT_LOG = "default"


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


class Encoder(StrictModel):
    """``caddy.logging.encoders``: one JSON object per line, or text for people."""

    format: Literal["json", "console"]


class Writer(StrictModel):
    """``caddy.logging.writers``: where a container runtime or systemd listens, or nowhere."""

    output: Literal["stderr", "stdout", "discard"]


class LogConfig(StrictModel):
    """One log. Without ``encoder``: console when its output is a terminal, else JSON."""

    level: Annotated[
        Literal["DEBUG", "INFO", "WARN", "ERROR", "PANIC", "FATAL"], BeforeValidator(_upper)
    ] = "INFO"
    encoder: Encoder | None = None
    writer: Writer | None = None


class LoggingConfig(StrictModel):
    """The logs by name; ``default`` is the only one that exists here."""

    logs: dict[str, LogConfig] = Field(default_factory=dict)

    @field_validator("logs")
    @classmethod
    def _only_default(cls, value: dict[str, LogConfig]) -> dict[str, LogConfig]:
        for name in value:
            if name != DEFAULT_LOG:
                raise ValueError(
                    f'known to Caddy, not built here yet: logs beside "default": {name!r}'
                )
        return value

    @property
    def default(self) -> LogConfig:
        """The settings of the default log."""
        return self.logs.get(DEFAULT_LOG) or LogConfig()
