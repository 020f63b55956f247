"""The ``logging`` section: Caddy's shape, as far as the default log goes.

Logs other than ``default``, samplers, filters and file writers are refused, not ignored.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from quantum.config.model import StrictModel, path_of
from quantum.errors import ConfigError

Level = Literal["DEBUG", "INFO", "WARN", "ERROR", "PANIC", "FATAL"]


def _not_built(what: str, value: Any) -> ConfigError:
    return ConfigError(path_of(value), f"known to Caddy, not built here yet: {what}")


class Encoder(StrictModel):
    """How a line is written."""

    format: Literal["json", "console"]


class Writer(StrictModel):
    """Where lines go."""

    output: Literal["stderr", "stdout", "discard"]


class LogConfig(StrictModel):
    """One log. Without ``encoder``: console on a terminal, JSON elsewhere."""

    level: Level = "INFO"
    encoder: Encoder | None = None
    writer: Writer | None = None

    @field_validator("level", mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("encoder", mode="before")
    @classmethod
    def _known_encoder(cls, value: Any) -> Any:
        return _check_kind(value, "format", {"append", "filter", "journald"}, "encoders")

    @field_validator("writer", mode="before")
    @classmethod
    def _known_writer(cls, value: Any) -> Any:
        return _check_kind(value, "output", {"file", "net"}, "writers")


def _check_kind(value: Any, key: str, known: set[str], kind: str) -> Any:
    if isinstance(value, dict) and value.get(key) in known:
        raise _not_built(f"caddy.logging.{kind}.{value[key]}", value)
    return value


class LoggingConfig(StrictModel):
    """The ``logging`` section."""

    logs: dict[str, LogConfig] = Field(default_factory=dict)

    @field_validator("logs", mode="before")
    @classmethod
    def _only_default(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for name, log in value.items():
                if name != "default":
                    raise _not_built(f"the log {name!r}", log)
        return value

    @property
    def default(self) -> LogConfig:
        """The default log."""
        return self.logs.get("default") or LogConfig()
