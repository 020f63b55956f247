"""Placeholders that tell of the machine and the moment: ``env.*``, ``time.*``, ``system.*``, ``file.*``.

The environment is handed in by the command line (``use_environment``): nothing else reads it.
"""

from __future__ import annotations

import platform
import re
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

import structlog

from quantum.clock import Clock, SystemClock
from quantum.http.message import Request

MAX_FILE_BYTES = 1024 * 1024
"""What ``{file.*}`` reads at most: it is for secrets and tokens (Caddy's limit)."""

_log = structlog.get_logger("quantum.http")
_OUTSIDE = re.compile(r"\{(env|file)\.([^{}]+)\}")
_GO_SYSTEMS = {"win32": "windows"}
_GO_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "i686": "386"}


class _Source:
    """What the lookups read; replaced as a whole by ``use_environment``."""

    environment: Mapping[str, str] = {}
    clock: Clock = SystemClock()


def environment() -> Mapping[str, str]:
    """Return the environment that was handed in."""
    return _Source.environment


def use_environment(environment: Mapping[str, str], clock: Clock | None = None) -> None:
    """Let ``{env.*}`` read ``environment``, and ``{time.*}`` a clock; called once, at start."""
    _Source.environment = environment
    if clock is not None:
        _Source.clock = clock


def environment_value(name: str) -> str:
    """Return an environment variable as handed in, "" when it is not set."""
    return _Source.environment.get(name, "")


def find(key: str) -> Callable[[Request], str | None] | None:
    """Return the lookup of ``key``, None when the key is none of these."""
    if key.startswith("env."):
        name = key[4:]
        return lambda request: environment_value(name)
    if key.startswith("file."):
        path = key[5:]
        return lambda request: content_of(path)
    fixed = _SYSTEM.get(key)
    if fixed is not None:
        return lambda request: fixed()
    moment = _TIMES.get(key)
    if moment is not None:
        return lambda request: moment(_Source.clock.now())
    return None


def fill_outside(text: str) -> str:
    """Insert environment variables and files into what belongs to no request: accounts, tokens."""

    def value(match: re.Match[str]) -> str:
        return environment_value(match[2]) if match[1] == "env" else content_of(match[2])

    return _OUTSIDE.sub(value, text)


def content_of(path: str) -> str:
    """Return a file's text without its last line's end, "" (and a log line) when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        _log.error("placeholder_file_unreadable", path=path, reason=error.strerror)
        return ""
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _system() -> str:
    return _GO_SYSTEMS.get(sys.platform, sys.platform)


def _machine() -> str:
    machine = platform.machine().lower()
    return _GO_MACHINES.get(machine, machine)


_SYSTEM: dict[str, Callable[[], str]] = {
    "system.hostname": socket.gethostname,
    "system.slash": lambda: "/",
    "system.os": _system,
    "system.arch": _machine,
    "system.wd": lambda: str(Path.cwd()),
}

_TIMES: dict[str, Callable[[datetime], str]] = {
    "time.now": lambda now: now.strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC"),
    "time.now.http": lambda now: format_datetime(now, usegmt=True),
    "time.now.common_log": lambda now: now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
    "time.now.year": lambda now: str(now.year),
    "time.now.unix": lambda now: str(int(now.timestamp())),
    "time.now.unix_ms": lambda now: str(int(now.timestamp() * 1000)),
}
