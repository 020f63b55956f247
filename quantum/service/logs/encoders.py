"""From the configuration of an encoder to a function: ``json``, ``console`` and what wraps them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from quantum.config.go_time import format_time
from quantum.config.logs.encoders import (
    AppendEncoder,
    ConsoleEncoder,
    FilterEncoder,
    FormattedEncoder,
    JournaldEncoder,
    JsonEncoder,
)
from quantum.http.placeholders import find
from quantum.http.placeholders.request import go_duration
from quantum.service.logs.filters import compile_filters
from quantum.telemetry.entries import Encode, Entry
from quantum.telemetry.log import encoder_named, with_exception

_LAYOUTS = {
    "iso8601": "2006-01-02T15:04:05.000Z0700", "rfc3339": "2006-01-02T15:04:05Z07:00",
    "rfc3339_nano": "2006-01-02T15:04:05.999999999Z07:00", "wall": "2006/01/02 15:04:05",
    "wall_milli": "2006/01/02 15:04:05.000", "wall_nano": "2006/01/02 15:04:05.000000000",
    "common_log": "02/Jan/2006:15:04:05 -0700",
}  # fmt: skip
_NUMBERS: dict[str, Callable[[float], Any]] = {
    "": lambda moment: round(moment, 6),
    "unix_seconds_float": lambda moment: round(moment, 6),
    "unix_milli_float": lambda moment: round(moment * 1000, 3),
    "unix_nano": lambda moment: round(moment * 1e6) * 1000,
}
_DURATIONS: dict[str, Callable[[float], Any]] = {
    "n": lambda seconds: round(seconds * 1e9),
    "m": lambda seconds: int(seconds * 1000),
    "string": go_duration,
}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Of syslog, which the journal reads as ``<N>`` before a line (sd-daemon(3))."""
_COLORS = {"debug": 35, "info": 34, "warning": 33, "error": 31, "critical": 31}
_PLACEHOLDER = re.compile(r"\{([a-zA-Z][\w.]*)\}")


def compile_encoder(config: Any, *, is_terminal: bool) -> Encode:
    """Return the function of an encoder's configuration, None being what suits the output."""
    if config is None:
        return encoder_named("console" if is_terminal else "json")
    if isinstance(config, FormattedEncoder) and config.model_fields_set <= {"format"}:
        return encoder_named("json" if isinstance(config, JsonEncoder) else "console")
    if isinstance(config, JsonEncoder):
        return _json(config)
    if isinstance(config, ConsoleEncoder):
        return _console(config)
    if isinstance(config, JournaldEncoder):
        return _journald(config, is_terminal=is_terminal)
    inside = compile_encoder(config.wrap, is_terminal=is_terminal)
    if isinstance(config, FilterEncoder):
        change = compile_filters(config.fields)
        return lambda entry: inside(entry._replace(fields=change(entry.fields)))
    assert isinstance(config, AppendEncoder)
    more = {key: _reader(value) for key, value in config.fields.items()}
    return lambda entry: inside(
        entry._replace(fields=entry.fields | {key: read() for key, read in more.items()})
    )


def _journald(config: JournaldEncoder, *, is_terminal: bool) -> Encode:
    wrapped = config.wrap
    if isinstance(wrapped, ConsoleEncoder):  # the journal has its own time
        wrapped = wrapped.model_copy(update={"time_key": ""})
        wrapped.model_fields_set.add("time_key")
    inside = compile_encoder(wrapped, is_terminal=is_terminal)
    return lambda entry: f"<{_PRIORITIES.get(entry.level, 6)}>{inside(entry)}"


def _reader(value: Any) -> Callable[[], Any]:
    """Return what gives an appended value: a text that is one placeholder of the process is looked up."""
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[1].startswith("http."):
        return lambda: value
    lookup = find(found[1])
    nobody: Any = None  # what tells of the process asks no request

    def read() -> Any:
        try:
            known = lookup(nobody)
        except AttributeError:
            known = None
        return value if known is None else known

    return read


def _keyed(config: FormattedEncoder) -> Callable[[Entry], dict[str, Any]]:
    """Return what gives level, time, logger and message under the configured keys."""

    def key(given: str | None, default: str) -> str:
        return default if given is None else given

    level, moment = key(config.level_key, "level"), key(config.time_key, "ts")
    logger, message = key(config.name_key, "logger"), key(config.message_key, "msg")
    shown, when = _level(config), _time(config)

    def keyed(entry: Entry) -> dict[str, Any]:
        parts = {
            level: shown(entry.level),
            moment: when(entry.moment),
            logger: entry.logger,
            message: entry.message,
        }
        parts.pop("", None)
        return parts

    return keyed


def _fields(config: FormattedEncoder) -> Callable[[Entry], dict[str, Any]]:
    kind = config.duration_format
    change = _DURATIONS.get("string" if kind == "string" else kind[:1])
    stack = config.stacktrace_key

    def fields(entry: Entry) -> dict[str, Any]:
        found = with_exception(entry.fields)
        if change is not None and isinstance(found.get("duration"), float):
            found = found | {"duration": change(found["duration"])}
        if stack is not None and "exception" in found:
            found = dict(found)
            text = found.pop("exception")
            found |= {stack: text} if stack else {}
        return found

    return fields


def _json(config: JsonEncoder) -> Encode:
    keyed, fields, end = _keyed(config), _fields(config), config.line_ending[:-1]

    def encode(entry: Entry) -> str:
        line = {**keyed(entry), **fields(entry)}
        return json.dumps(line, default=str, ensure_ascii=False) + end

    return encode


def _console(config: ConsoleEncoder) -> Encode:
    """Columns as Caddy writes them: time, level, logger, message and the fields as JSON."""
    if not config.time_format:
        config = config.model_copy(update={"time_format": "2006/01/02 15:04:05.000"})
    if not config.level_format:
        config = config.model_copy(update={"level_format": "color"})
    order = (config.time_key, "ts"), (config.level_key, "level"), (config.name_key, "logger"), (config.message_key, "msg")  # fmt: skip
    keys = [default if given is None else given for given, default in order]
    keyed, fields, end = _keyed(config), _fields(config), config.line_ending[:-1]

    def encode(entry: Entry) -> str:
        parts = keyed(entry)
        columns = [str(parts[key]) for key in keys if parts.get(key)]
        more = fields(entry)
        if more:
            columns.append(json.dumps(more, default=str, ensure_ascii=False))
        return "\t".join(columns) + end

    return encode


def _level(config: FormattedEncoder) -> Callable[[str], str]:
    def plain(level: str) -> str:
        return "warn" if level == "warning" else level

    if config.level_format == "upper":
        return lambda level: plain(level).upper()
    if config.level_format == "color":
        return lambda level: f"\x1b[{_COLORS.get(level, 34)}m{plain(level).upper()}\x1b[0m"
    return plain


def _time(config: FormattedEncoder) -> Callable[[float], Any]:
    number = _NUMBERS.get(config.time_format)
    if number is not None:
        return number
    layout = _LAYOUTS.get(config.time_format, config.time_format)

    def when(moment: float) -> str:
        found = datetime.fromtimestamp(moment, UTC)
        return format_time(found.astimezone() if config.time_local else found, layout)

    return when
