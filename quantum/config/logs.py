"""The ``logging`` section: Caddy's shape, as far as the default log goes.

Logs other than ``default``, samplers and filters are refused, not ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from quantum.config.model import StrictModel, path_of
from quantum.config.unbuilt import NotBuilt
from quantum.errors import ConfigError
from quantum.telemetry.rolling import FileSettings

ROLL_MB, ROLL_KEEP, ROLL_DAYS = 100, 10, 90
"""What 0 means for ``roll_size_mb``, ``roll_keep`` and ``roll_keep_days``: their defaults, as in Caddy."""

Level = Literal["DEBUG", "INFO", "WARN", "ERROR", "PANIC", "FATAL"]


def _not_built(what: str, value: Any) -> ConfigError:
    return ConfigError(path_of(value), f"known to Caddy, not built here yet: {what}")


class Encoder(StrictModel):
    """How a line is written."""

    format: Literal["json", "console"]


class Writer(StrictModel):
    """Where lines go."""

    output: Literal["stderr", "stdout", "discard"]

    @property
    def target(self) -> Literal["stderr", "stdout", "discard"]:
        """What ``configure_logging`` takes."""
        return self.output


class FileWriter(StrictModel):
    """``caddy.logging.writers.file``: lines in a file that is rolled when it is large."""

    output: Literal["file"]
    filename: str = Field(min_length=1)
    mode: str = Field(default="0600", pattern="^0?[0-7]{3}$")
    dir_mode: NotBuilt = None
    roll: bool = True
    roll_size_mb: int = Field(default=100, ge=0)
    roll_keep: int = Field(default=10, ge=0)
    roll_keep_days: int = Field(default=90, ge=0)
    roll_compression: Literal["", "gzip", "none"] = ""
    roll_gzip: bool = True
    roll_local_time: bool = False
    roll_interval: NotBuilt = None
    roll_minutes: NotBuilt = None
    roll_at: NotBuilt = None
    backup_time_format: NotBuilt = None

    @property
    def target(self) -> FileSettings:
        """What ``configure_logging`` takes."""
        return FileSettings(
            Path(self.filename),
            mode=int(self.mode, 8),
            max_bytes=(self.roll_size_mb or ROLL_MB) * 1024 * 1024 if self.roll else 0,
            keep=self.roll_keep or ROLL_KEEP,
            max_age=(self.roll_keep_days or ROLL_DAYS) * 86400.0,
            compress=self.roll_compression == "gzip"
            or (not self.roll_compression and self.roll_gzip),
            local_time=self.roll_local_time,
        )


class LogConfig(StrictModel):
    """One log. Without ``encoder``: console on a terminal, JSON elsewhere."""

    level: Level = "INFO"
    encoder: Encoder | None = None
    writer: Writer | FileWriter | None = None

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
        if isinstance(value, dict) and value.get("output") == "file":
            return FileWriter.parse(value)
        value = _check_kind(value, "output", {"net"}, "writers")
        return Writer.parse(value) if isinstance(value, dict) else value


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
