"""Logs: one line per event on standard error, JSON for machines, columns for a terminal.

The keys are Caddy's (``level``, ``ts``, ``logger``, ``msg``), so that what reads its logs reads ours.
A log call below the level costs one comparison. Writing never waits: when nobody empties the pipe,
lines are dropped and counted, and requests go on. Secrets are redacted here, whoever logs them.
"""

from __future__ import annotations

import json
import logging
import re
import select
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog

from quantum.ids import PROCESS_ID
from quantum.telemetry.rolling import FileSettings, RollingFile

LEVELS = {
    "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
    "ERROR": logging.ERROR, "PANIC": logging.CRITICAL, "FATAL": logging.CRITICAL,
}  # fmt: skip
PIPE_BYTES = 4096
"""POSIX's PIPE_BUF: a pipe that is ready takes this much without waiting."""
REDACTED = "REDACTED"
_SECRET = re.compile(
    r"token|secret|password|passwd|api_?key|private_?key|authorization|cookie", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_MAX_DEPTH = 6
"""How deep a value is searched for secrets: an access record nests three levels."""
LIBRARY_LEVEL = logging.WARNING
"""What libraries say below this concerns their authors."""


class LineWriter:
    """Writes lines to a file descriptor that may be a blocked pipe."""

    def __init__(self, stream: TextIO | None) -> None:
        """``stream`` None discards."""
        self._stream = stream
        self.dropped = 0
        self._told = 0
        self._poll: select.poll | None = None
        if stream is not None and hasattr(select, "poll"):
            with suppress(OSError, ValueError, AttributeError):  # no descriptor behind it
                poll = select.poll()
                poll.register(stream.fileno(), select.POLLOUT)
                self._poll = poll

    def write(self, line: str) -> None:
        """Write one line, or drop it if that would wait. Never raises."""
        if self._stream is None:
            return
        for start in range(0, len(line) + 1, PIPE_BYTES - 1):
            if self._poll is not None and not self._poll.poll(0):
                self.dropped += 1
                return
            part = line[start : start + PIPE_BYTES - 1]
            end = "\n" if start + PIPE_BYTES - 1 > len(line) else ""
            try:
                self._stream.write(part + end)
                self._stream.flush()
            except (OSError, ValueError):  # closed: there is nowhere left to say so
                self.dropped += 1
                return
        if self.dropped > self._told:
            count, self._told = self.dropped - self._told, self.dropped
            self.write(json.dumps({"level": "warn", "msg": "log_lines_dropped", "lines": count}))


class _Sink:
    """What structlog calls at the end of its chain: named, with a method for each level."""

    def __init__(self, name: str = "quantum") -> None:
        self.name = name

    def _write(self, line: str) -> None:
        _output.writer.write(line)

    debug = info = warning = error = critical = fatal = exception = msg = log = _write


class _Output:
    """The one output of the process; loggers made before it was configured follow it."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.writer: LineWriter | RollingFile = LineWriter(sys.stderr)
        self.format = "json"
        self.identity: dict[str, Any] = {"process": PROCESS_ID}


_output = _Output()


class LeveledLogger(structlog.stdlib.BoundLogger):
    """A bound logger that asks for the level first."""

    def debug(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log what concerns those who look for a fault."""
        return super().debug(event, *args, **fields) if _output.level <= 10 else None

    def info(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log what happened."""
        return super().info(event, *args, **fields) if _output.level <= 20 else None

    def warning(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log what may need attention."""
        return super().warning(event, *args, **fields) if _output.level <= 30 else None

    def error(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log what failed."""
        return super().error(event, *args, **fields) if _output.level <= 40 else None


def configure_logging(
    level: str = "INFO",
    format: str | None = None,
    output: Literal["stderr", "stdout", "discard"] | FileSettings = "stderr",
) -> None:
    """Set up the log of this process; called again, it changes it.

    ``level`` is one of LEVELS, of any case; ``format`` "json" or "console", None for what suits the
    output: console on a terminal. OSError when the file of ``output`` cannot be opened: nothing changed.
    """
    former = _output.writer
    _output.writer, is_terminal = _writer(output)
    if isinstance(former, RollingFile):
        former.close()
    _output.level = LEVELS[level.upper()]
    _output.format = format or ("console" if is_terminal else "json")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_process,
        redact,
    ]
    structlog.configure(
        processors=[*shared, *_renderers(_output.format)],
        wrapper_class=LeveledLogger,
        logger_factory=_Sink,
        cache_logger_on_first_use=False,
    )
    _route_libraries(shared)


def _writer(output: str | FileSettings) -> tuple[LineWriter | RollingFile, bool]:
    """Return what writes lines, and whether a person reads them."""
    if isinstance(output, FileSettings):
        return RollingFile(output), False
    stream = sys.stdout if output == "stdout" else sys.stderr
    return LineWriter(None if output == "discard" else stream), stream.isatty()


def identify(**facts: Any) -> None:
    """Add ``facts`` about this process to every line from now on."""
    _output.identity = {**_output.identity, **facts}


def is_enabled(level: int) -> bool:
    """Whether events of ``level`` (a number of ``logging``) are written now."""
    return _output.level <= level


def dropped_lines() -> int:
    """Return how many lines the present output lost."""
    return _output.writer.dropped


def _renderers(format: str) -> list[Any]:
    if format == "console":
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=True),
        ]
    return [structlog.processors.format_exc_info, _render_json]


def _render_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    level = event.pop("level", method)
    line = {
        "level": "warn" if level == "warning" else level,
        "ts": round(time.time(), 6),  # noqa: TID251 - a log line states the machine's clock
        "logger": event.pop("logger", ""),
        "msg": event.pop("event", ""),
        **event,
    }
    return json.dumps(line, default=str, ensure_ascii=False)


def _add_process(logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
    for key, value in _output.identity.items():
        event.setdefault(key, value)
    return event


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of fields that hold secrets, and passwords inside URLs."""
    for key, value in event.items():
        if key != "event":
            event[key] = _redacted(key, value, _MAX_DEPTH)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    if value and _SECRET.search(key) and not isinstance(value, bool | int | float):
        return [REDACTED] if isinstance(value, list) else REDACTED
    if isinstance(value, str):
        return _USER_INFO.sub(REDACTED, value) if "://" in value else value
    if depth and isinstance(value, Mapping):
        return {k: _redacted(str(k), v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_redacted("", item, depth - 1) for item in value]
    return value


class _LibraryHandler(logging.Handler):
    """Takes what libraries log through ``logging`` into the one output."""

    def emit(self, record: logging.LogRecord) -> None:
        if _output.level <= record.levelno:
            try:
                _output.writer.write(self.format(record))
            except Exception:  # noqa: BLE001 - a library's odd log call must not fail its caller
                self.handleError(record)


def _route_libraries(shared: list[Any]) -> None:
    handler = _LibraryHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(_output.format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if not isinstance(h, _LibraryHandler)]
    root.addHandler(handler)
    root.setLevel(max(_output.level, LIBRARY_LEVEL))
    logging.captureWarnings(capture=True)
