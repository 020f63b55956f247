"""The ``logging`` section: Caddy's logs, each with what it takes, how it writes and where to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from quantum.config.go_time import format_time
from quantum.config.logs.encoders import Encoder, chosen_by
from quantum.config.model import StrictModel
from quantum.config.unbuilt import refused
from quantum.config.units import Duration, NetworkAddress
from quantum.telemetry.rolling import AS_PARENT, PRIVATE_FOLDER, FileSettings
from quantum.telemetry.schedule import Schedule, minutes_of

ROLL_MB, ROLL_KEEP, ROLL_DAYS = 100, 10, 90
"""What 0 means for ``roll_size_mb``, ``roll_keep`` and ``roll_keep_days``: their defaults, as in Caddy."""

Level = Literal["DEBUG", "INFO", "WARN", "ERROR", "PANIC", "FATAL"]


def _time_of_day(text: str) -> str:
    minutes_of(text)
    return text


@dataclass(frozen=True)
class GoStamp:
    """Writes moments in one of Go's layouts; equal to others of the same."""

    layout: str

    def __call__(self, moment: datetime) -> str:
        """Return the text of a moment."""
        return format_time(moment, self.layout)


class StreamWriter(StrictModel):
    """``caddy.logging.writers.stderr``, ``stdout``, ``discard``."""

    output: Literal["stderr", "stdout", "discard"]


class FileWriter(StrictModel):
    """``caddy.logging.writers.file``: lines in a file that is rolled when it is large or at times."""

    output: Literal["file"]
    filename: str = Field(min_length=1)
    mode: str = Field(default="0600", pattern="^0?[0-7]{3}$")
    dir_mode: str = Field(default="", pattern="^(|0?[0-7]{3}|inherit|from_file)$")
    roll: bool = True
    roll_size_mb: int = Field(default=100, ge=0)
    roll_keep: int = Field(default=10, ge=0)
    roll_keep_days: int = Field(default=90, ge=0)
    roll_compression: Literal["", "gzip", "none"] = ""
    roll_gzip: bool = True
    roll_local_time: bool = False
    roll_interval: Duration = Field(default=0.0, ge=0)
    roll_minutes: list[Annotated[int, Field(ge=0, le=59)]] = Field(default_factory=list)
    roll_at: list[Annotated[str, AfterValidator(_time_of_day)]] = Field(default_factory=list)
    backup_time_format: str = Field(default="", max_length=64, pattern="^[^/]*$")

    @property
    def settings(self) -> FileSettings:
        """What ``RollingFile`` takes."""
        return FileSettings(
            Path(self.filename),
            mode=int(self.mode, 8),
            max_bytes=(self.roll_size_mb or ROLL_MB) * 1024 * 1024 if self.roll else 0,
            keep=self.roll_keep or ROLL_KEEP,
            max_age=(self.roll_keep_days or ROLL_DAYS) * 86400.0,
            compress=self.roll_compression == "gzip"
            or (not self.roll_compression and self.roll_gzip),
            local_time=self.roll_local_time,
            schedule=self._schedule if self.roll else Schedule(),
            format_time=GoStamp(self.backup_time_format) if self.backup_time_format else None,
            folder_mode=self._folder_mode,
        )

    @property
    def _schedule(self) -> Schedule:
        times = tuple(minutes_of(text) for text in self.roll_at)
        return Schedule(self.roll_interval, tuple(self.roll_minutes), times)

    @property
    def _folder_mode(self) -> int:
        if self.dir_mode == "inherit":
            return AS_PARENT
        if self.dir_mode == "from_file":  # who may read the file may enter
            mode = int(self.mode, 8)
            return mode | (mode & 0o444) >> 2
        return int(self.dir_mode, 8) if self.dir_mode else PRIVATE_FOLDER


class NetWriter(StrictModel):
    """``caddy.logging.writers.net``: lines to a socket: tcp, udp, unix or unixgram.

    Without ``soft_start`` an address that cannot be reached is an error of the configuration.
    """

    output: Literal["net"]
    address: NetworkAddress
    dial_timeout: Duration = Field(default=10.0, ge=0)
    soft_start: bool = False

    @field_validator("address")
    @classmethod
    def _one_port(cls, address: NetworkAddress) -> NetworkAddress:
        if address.start_port != address.end_port or address.is_fd:
            raise ValueError(f"{address}: a log goes to one address")
        if not address.is_unix and not address.start_port:
            raise ValueError(f"{address}: the port is missing")
        return address


class MockCore(StrictModel):
    """``caddy.logging.cores.mock``: does nothing, as in Caddy, where tests use it."""

    module: Literal["mock"]


class Sampling(StrictModel):
    """Of entries with one level and message the ``first`` of an interval, then each ``thereafter``-th."""

    interval: Duration = Field(default=0.0, ge=0)
    first: int = Field(default=0, ge=0)
    thereafter: int = Field(default=0, ge=0)


WRITERS: dict[str, type[StrictModel]] = {
    "stderr": StreamWriter, "stdout": StreamWriter, "discard": StreamWriter, "file": FileWriter,
    "net": NetWriter,
}  # fmt: skip


NotOfGo = Annotated[
    Any, refused("a line names its logger, an unexpected error has its traceback: leave it out")
]


class LogConfig(StrictModel):
    """One log. Without ``encoder``: console on a terminal, JSON elsewhere.

    ``include`` and ``exclude`` are names of loggers, or of what they begin with up to a dot; where both say
    something, the longer one counts.
    """

    level: Level = "INFO"
    encoder: Encoder | None = None
    writer: chosen_by(WRITERS, "output", "caddy.logging.writers") | None = None  # type: ignore[valid-type]
    core: MockCore | None = None
    sampling: Sampling | None = None
    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    with_caller: NotOfGo = None
    with_caller_skip: NotOfGo = None
    with_stacktrace: NotOfGo = None

    @field_validator("level", mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return value.upper() or "INFO" if isinstance(value, str) else value

    @model_validator(mode="after")
    def _no_contradiction(self) -> LogConfig:
        both = set(self.include) & set(self.exclude)
        if both:
            raise ValueError(f"{min(both)!r} is included and excluded")
        return self


class LoggingConfig(StrictModel):
    """The ``logging`` section."""

    sink: Annotated[
        Any, refused("takes what Go's own log prints, which there is not here: leave it out")
    ] = None
    logs: dict[str, LogConfig] = Field(default_factory=dict)

    @property
    def default(self) -> LogConfig:
        """The default log."""
        return self.logs.get("default") or LogConfig()
