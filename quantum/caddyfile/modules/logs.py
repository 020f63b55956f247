"""Logs: where they go, how they look; the block of the directive and of the global option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.encoders import ENCODERS
from quantum.caddyfile.modules.namespaces import Readers, take_module
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.encoding import compact

FIELDS = (
    "writer", "encoder", "core", "level", "sampling", "with_caller", "with_caller_skip",
    "with_stacktrace", "include", "exclude",
)  # fmt: skip
MIB = 1024 * 1024
DAY = 24 * numbers.HOUR


def _plain(d: Dispenser) -> dict[str, Any]:
    d.next()
    d.no_more()
    return {}


def _mode(d: Dispenser) -> str:
    value = d.arg()
    if value in {"inherit", "from_file"}:
        return value
    try:
        return f"0{int(value, 8):o}"
    except ValueError:
        raise d.error(
            f"parsing dir_mode: strconv.ParseUint: parsing {numbers.quoted(value)}: invalid syntax"
        ) from None


def _file_mode(d: Dispenser) -> str:
    value = d.arg()
    try:
        return f"0{int(value, 8):o}"
    except ValueError:
        raise d.error(
            f"parsing mode: strconv.ParseUint: parsing {numbers.quoted(value)}: invalid syntax"
        ) from None


def _megabytes(d: Dispenser) -> int:
    value = d.arg()
    try:
        size = numbers.parse_size(value)
    except CaddyfileError as error:
        raise d.error(f"parsing size: {error.problem}") from None
    return -(-size // MIB)


def _days(d: Dispenser) -> int:
    value = d.arg()
    try:
        span = numbers.parse_duration(value)
    except CaddyfileError as error:
        raise d.error(f"parsing roll_keep_for duration: {error.problem}") from None
    if span < 0:
        raise d.error(f"negative roll_keep_for duration: {value}")
    return -(-span // DAY)


def _minutes(d: Dispenser) -> list[int]:
    return [_integer(d, part) for word in d.some() for part in word.split(",") if part]


def _integer(d: Dispenser, text: str) -> int:
    try:
        return numbers.parse_int(text)
    except CaddyfileError as error:
        raise d.error(f"parsing roll_minutes number: {error.problem}") from None


def _file(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {"filename": d.only()}
    if not made["filename"]:
        raise d.arg_error()
    for word in d.block():
        if word == "roll_disabled":
            made["roll"] = False
            d.no_more()
        elif word == "roll_uncompressed":
            made["roll_gzip"] = False
            d.no_more()
        elif word in FILE:
            FILE[word].apply(d, made)
        else:
            raise d.error(f"unrecognized subdirective '{word}'")
    return made


FILE = {
    "mode": Setting("mode", _file_mode),
    "dir_mode": Setting("dir_mode", _mode),
    "roll_size": Setting("roll_size_mb", _megabytes),
    "roll_compression": Setting("roll_compression", settings.text),
    "roll_local_time": Setting("roll_local_time", settings.flag),
    "roll_keep": Setting("roll_keep", settings.integer("parsing roll_keep number: {error}")),
    "roll_keep_for": Setting("roll_keep_days", _days),
    "roll_interval": Setting(
        "roll_interval", settings.duration("parsing roll_interval duration: {error}")
    ),
    "roll_minutes": Setting("roll_minutes", _minutes),
    "roll_at": Setting("roll_at", settings.texts),
    "backup_time_format": Setting("backup_time_format", settings.text),
}


def _net(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {"address": d.only()}
    table = {
        "dial_timeout": Setting("dial_timeout", settings.duration("invalid duration: {value}")),
        "soft_start": Setting("soft_start", settings.flag),
    }
    read_block(d, made, table, "unrecognized subdirective '{}'")
    return made


WRITERS: Readers = {
    "stdout": _plain,
    "stderr": _plain,
    "discard": _plain,
    "file": _file,
    "net": _net,
}
CORES: Readers = {"mock": _plain}


def read_log(d: Dispenser, special: Callable[[str], bool]) -> dict[str, Any]:
    """Read the block of a log; ``special`` reads a word that only one kind of log has."""
    made: dict[str, Any] = {}
    for word in d.block():
        if special(word):
            continue
        if word == "output":
            d.arg()
            _once(d, made, "writer", word)
            made["writer"] = _writer(d)
        elif word == "format":
            _once(d, made, "encoder", word)
            made["encoder"] = take_module(d, "caddy.logging.encoders", ENCODERS, "format")
        elif word == "core":
            _once(d, made, "core", word)
            made["core"] = take_module(d, "caddy.logging.cores", CORES, "module")
        elif word == "level":
            _once(d, made, "level", word)
            made["level"] = d.only()
        elif word == "sampling":
            _once(d, made, "sampling", word)
            made["sampling"] = _sampling(d)
        else:
            raise d.error(f"unrecognized subdirective: {word}")
    return made


def _once(d: Dispenser, made: dict[str, Any], name: str, word: str) -> None:
    if name in made:
        raise d.error(f"'{word}' subdirective specified more than once in the same log block")


def _writer(d: Dispenser) -> dict[str, Any]:
    from quantum.caddyfile.modules.namespaces import read_module

    return read_module(d, "caddy.logging.writers", WRITERS, "output")


def _sampling(d: Dispenser) -> dict[str, Any]:
    inner = d.fork()
    inner.next()
    inner.rest()
    made: dict[str, Any] = {}
    table = {
        "interval": Setting("interval", _interval),
        "first": Setting("first", settings.integer("failed to parse first: {error}")),
        "thereafter": Setting(
            "thereafter", settings.integer("failed to parse thereafter: {error}")
        ),
    }
    read_block(inner, made, table, "unrecognized subdirective: {}")
    return compact(**{name: made.get(name) for name in ("interval", "first", "thereafter")})


def _interval(d: Dispenser) -> int:
    value = d.arg()
    try:
        return numbers.parse_plain_duration(value)
    except CaddyfileError as error:
        raise d.error(f"failed to parse interval: {error.problem}") from None


def in_order(log: dict[str, Any]) -> dict[str, Any]:
    """Return a log's fields in Caddy's order, the empty ones left out."""
    return {name: log[name] for name in FIELDS if name in log and log[name] not in ("", [], False)}
