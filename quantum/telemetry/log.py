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
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

import structlog

from quantum.ids import PROCESS_ID
from quantum.telemetry.entries import LEVELS, NUMBERS, Encode, Entry, Log

PIPE_BYTES = 4096
"""POSIX's PIPE_BUF: a pipe that is ready takes this much without waiting."""
REDACTED = "REDACTED"
_SECRET = re.compile(
    r"token|secret|password|passwd|api[_-]?key|private[_-]?key|authorization|cookie", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
MAX_LOGGERS = 1024
"""Loggers whose logs are remembered: names come from the program and the configuration."""
PLAIN = "_plain"
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

    def close(self) -> None:
        """Do nothing: the stream is the process's."""


class _Sink:
    """What structlog calls at the end of its chain, where everything is written already."""

    def __init__(self, name: str = "quantum") -> None:
        self.name = name

    def _ignore(self, line: str) -> None:
        """Do nothing."""

    debug = info = warning = error = critical = fatal = exception = msg = log = _ignore


class _Output:
    """The logs of the process; loggers made before they were configured follow them."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.logs: Sequence[Log] = (Log(encode_json, LineWriter(sys.stderr)),)
        self.wanted: dict[str, tuple[Log, ...]] = {}
        self.lost = 0
        self.identity: dict[str, Any] = {"process": PROCESS_ID}

    def of(self, logger: str) -> tuple[Log, ...]:
        """Return the logs that take a logger's entries."""
        found = self.wanted.get(logger)
        if found is None:
            found = tuple(log for log in self.logs if log.wants(logger))
            if len(self.wanted) < MAX_LOGGERS:
                self.wanted[logger] = found
        return found


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
    level: str = "INFO", format: str | None = None, output: str = "stderr"
) -> None:
    """Set up one log for this process; called again, it changes it.

    ``level`` is one of LEVELS, of any case; ``format`` "json" or "console", None for what suits the
    output: console on a terminal. ``output`` is "stderr", "stdout" or "discard".
    """
    writer, is_terminal = stream_writer(output)
    encode = encoder_named(format or ("console" if is_terminal else "json"))
    for former in use_logs([Log(encode, writer, LEVELS[level.upper()])]):
        former.writer.close()


def use_logs(logs: Sequence[Log]) -> Sequence[Log]:
    """Let these be the logs of the process; return the former ones, whose writers are the caller's to close."""
    former, _output.logs = _output.logs, logs
    _output.wanted = {}
    _output.lost += sum(log.writer.dropped for log in former)
    _output.level = min((log.level for log in logs), default=logging.CRITICAL + 1)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_process,
        redact,
    ]
    structlog.configure(
        processors=[*shared, _deliver],
        wrapper_class=LeveledLogger,
        logger_factory=_Sink,
        cache_logger_on_first_use=False,
    )
    _route_libraries(shared)
    return former


def stream_writer(output: str) -> tuple[LineWriter, bool]:
    """Return what writes to a standard stream, and whether a person reads it."""
    stream = sys.stdout if output == "stdout" else sys.stderr
    return LineWriter(None if output == "discard" else stream), stream.isatty()


def identify(**facts: Any) -> None:
    """Add ``facts`` about this process to every line from now on."""
    _output.identity = {**_output.identity, **facts}


def dropped_lines() -> int:
    """Return how many lines the logs of this process lost."""
    return _output.lost + sum(log.writer.dropped for log in _output.logs)


def encoder_named(format: str) -> Encode:
    """Return the encoder "json", or "console" with colours."""
    return _console() if format == "console" else encode_json


def _console() -> Encode:
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    render = structlog.dev.ConsoleRenderer(colors=True)

    def encode(entry: Entry) -> str:
        named = {"logger": entry.logger} if entry.logger else {}
        event = {**entry.fields, "event": entry.message, "level": entry.level, **named}
        return str(render(None, entry.level, stamp(None, entry.level, event)))

    return encode


def encode_json(entry: Entry) -> str:
    """Return an entry as JSON in Caddy's shape."""
    line = {
        "level": "warn" if entry.level == "warning" else entry.level,
        "ts": round(entry.moment, 6),
        "logger": entry.logger,
        "msg": entry.message,
        **with_exception(entry.fields),
    }
    return json.dumps(line, default=str, ensure_ascii=False)


def with_exception(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with an exception as text, if there is one."""
    if "exc_info" not in fields:
        return fields
    return dict(structlog.processors.format_exc_info(None, "", dict(fields)))


def _deliver(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """Hand an event to the logs that want it; the end of structlog's chain."""
    level, name = event.pop("level", method), event.pop("logger", "") or ""
    logs = _output.of(name)
    number = NUMBERS.get(level, logging.INFO)
    if any(number >= log.level for log in logs):
        moment = time.time()  # noqa: TID251 - a log line states the machine's clock
        entry = Entry(level, moment, name, event.pop("event", ""), dict(event))
        for log in logs:
            if number >= log.level:
                log.take(entry)
    return ""


_output = _Output()


def _add_process(logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
    for key, value in _output.identity.items():
        event.setdefault(key, value)
    return event


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of fields that hold secrets, and passwords inside URLs.

    An event with the key PLAIN is left as it is: a server that says ``should_log_credentials``.
    """
    if event.pop(PLAIN, False):
        return event
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
                self.format(record)  # the last of its processors delivers
            except Exception:  # noqa: BLE001 - a library's odd log call must not fail its caller
                self.handleError(record)


def _route_libraries(shared: list[Any]) -> None:
    handler = _LibraryHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _deliver,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if not isinstance(h, _LibraryHandler)]
    root.addHandler(handler)
    root.setLevel(max(_output.level, LIBRARY_LEVEL))
    logging.captureWarnings(capture=True)
