"""Entries of a log, and the logs that take them: each by level, by logger, and at most so many.

A log encodes and writes; several may take the same entry. Who makes encoders and writers is above.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

MAX_SAMPLED = 4096
"""Messages that are counted within an interval; further ones are all written."""

LEVELS = {
    "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
    "ERROR": logging.ERROR, "PANIC": logging.CRITICAL, "FATAL": logging.CRITICAL,
}  # fmt: skip
NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class Entry(NamedTuple):
    """One event: ``level`` as the logger spells it (``warning``), ``moment`` in seconds since the epoch."""

    level: str
    moment: float
    logger: str
    message: str
    fields: dict[str, Any]


Encode = Callable[[Entry], str]
"""Gives the line of an entry, without the end of the line. MUST NOT change the entry's fields."""


class Writer(Protocol):
    """Where lines go. ``write`` never raises and never waits; what it loses it counts."""

    dropped: int

    def write(self, line: str) -> None:
        """Write one line."""

    def close(self) -> None:
        """Release what is held."""


class Sampler:
    """Lets the first entries of a kind through, then every so many, anew in each interval."""

    def __init__(self, interval: float, first: int, thereafter: int) -> None:
        self._interval = interval
        self._first = first
        self._thereafter = thereafter
        self._counts: dict[tuple[str, str], int] = {}
        self._until = 0.0

    def admits(self, entry: Entry) -> bool:
        """Count an entry and say whether it is written."""
        now = time.monotonic()
        if now >= self._until:
            self._until = now + self._interval
            self._counts.clear()
        kind = (entry.level, entry.message)
        if kind not in self._counts and len(self._counts) >= MAX_SAMPLED:
            return True
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return count <= self._first or (count - self._first) % self._thereafter == 0


class Log:
    """One log of the process."""

    def __init__(
        self,
        encode: Encode,
        writer: Writer,
        level: int = logging.INFO,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        sampler: Sampler | None = None,
    ) -> None:
        self.encode = encode
        self.writer = writer
        self.level = level
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._sampler = sampler

    def wants(self, logger: str) -> bool:
        """Whether entries of a logger are this log's: the longer name of both lists counts (Caddy)."""
        accepted = _longest(self._include, logger)
        if self._include and accepted < 0:
            return False
        if "*" in self._exclude:
            return False
        return _longest(self._exclude, logger) <= accepted

    def take(self, entry: Entry) -> None:
        """Write an entry of a logger that is wanted, if its level and the sampler let it through."""
        if self._sampler is None or self._sampler.admits(entry):
            self.writer.write(self.encode(entry))


def _longest(names: Sequence[str], logger: str) -> int:
    """Return the length of the longest name that a logger's begins with, -1 when there is none."""
    return max((len(n) for n in names if f"{logger}.".startswith(f"{n}.")), default=-1)
