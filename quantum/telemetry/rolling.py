"""A log in a file that is rolled when it is large or its time has come (``caddy.logging.writers.file``).

Several processes may write one file: rooms that run apart on a machine share a configuration, workers
do always. Each appends whole lines (``O_APPEND``); a lock beside the file lets one of them roll it, and the
others notice within a second that the name leads to another file now. So does whatever else moves
the file away (logrotate).
"""

from __future__ import annotations

import fcntl
import gzip
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from quantum.telemetry.schedule import Schedule

NOTICED_AFTER = 1.0
"""Seconds between looks at whether the name still leads to the open file."""
STAMP = "%Y-%m-%dT%H-%M-%S"
REASONS = ("size", "time")
PRIVATE_FOLDER = 0o700
AS_PARENT = -1
"""For ``folder_mode``: what the folder around it has."""


@dataclass(frozen=True)
class FileSettings:
    """Where a log goes; sizes in bytes, ages in seconds, 0 for ``keep`` and ``max_age``: no bound."""

    path: Path
    mode: int = 0o600
    max_bytes: int = 0
    keep: int = 0
    max_age: float = 0.0
    compress: bool = True
    local_time: bool = False
    schedule: Schedule = field(default_factory=Schedule)
    format_time: Callable[[datetime], str] | None = None
    folder_mode: int = PRIVATE_FOLDER


class RollingFile:
    """Takes the place of ``LineWriter``. Opening raises OSError; ``write`` never does."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self.dropped = 0
        self._descriptor = -1
        self._looked = 0.0
        self._lock = threading.Lock()  # libraries log from threads
        _make_folder(settings.path.parent, settings.folder_mode)
        self._open()

    def write(self, line: str) -> None:
        """Append one line; one that the disk does not take is dropped and counted."""
        data = (line + "\n").encode("utf-8", "replace")
        with self._lock:
            try:
                self._follow(len(data))
                written = os.write(self._descriptor, data)
            except OSError:
                self.dropped += 1
                return
            self.dropped += written != len(data)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._settings.path, flags, self._settings.mode)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _follow(self, coming: int) -> None:
        """Open the file anew when its name was given away, roll it when it is too large."""
        now = time.monotonic()
        if now - self._looked >= NOTICED_AFTER or self._descriptor < 0:
            self._looked = now
            if not self._is_current():
                self._open()
            if self._settings.schedule and os.fstat(self._descriptor).st_size and self._is_due():
                self._roll("time")
        bound = self._settings.max_bytes
        if bound and (size := os.fstat(self._descriptor).st_size) > 0 and size + coming > bound:
            self._roll("size")

    def _roll(self, reason: str) -> None:
        with self._alone() as lock:
            # Else another process rolled it meanwhile.
            if self._is_current() and (reason == "size" or self._is_due()):
                os.rename(self._settings.path, self._rolled_name(reason))  # noqa: PTH104
                os.utime(lock)
                threading.Thread(target=self._tidy, name="log-rolled", daemon=True).start()
            self._open()

    def _is_due(self) -> bool:
        """Whether its time has come. The lock's time is when the present file began, for all processes."""
        try:
            began = os.stat(self._lock_file).st_mtime  # noqa: PTH116
        except FileNotFoundError:
            with self._alone():
                return False  # from now on
        now = self._now()
        return self._settings.schedule.is_due(datetime.fromtimestamp(began, now.tzinfo), now)

    def _now(self) -> datetime:
        now = datetime.now(UTC)
        return now.astimezone() if self._settings.local_time else now

    @property
    def _lock_file(self) -> Path:
        path = self._settings.path
        return path.with_name(f".{path.name}.lock")

    def _is_current(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._settings.path), os.fstat(self._descriptor))  # noqa: PTH116
        except FileNotFoundError:
            return False

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Keep other processes from rolling; the lock ends with the process that holds it."""
        lock = os.open(self._lock_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _rolled_name(self, reason: str) -> Path:
        """Return a free name: ``access-2026-11-26T15-04-05.000-size.log``, as Caddy's."""
        path = self._settings.path
        moment = self._now()
        if self._settings.format_time is not None:
            stamp = self._settings.format_time(moment)
        else:
            stamp = f"{moment.strftime(STAMP)}.{moment.microsecond // 1000:03d}"
        for number in count(1):  # two within a millisecond, or whatever the stamp tells apart
            more = f".{number}" if number > 1 else ""
            name = path.with_name(f"{path.stem}-{stamp}{more}-{reason}{path.suffix}")
            if not name.exists() and not name.with_name(f"{name.name}.gz").exists():
                break
        return name

    def _tidy(self) -> None:
        """Compress what was rolled and delete what is too much or too old; in a thread of its own.

        A file is compressed when no process can still append to it: all have looked at the name since.
        """
        time.sleep(2 * NOTICED_AFTER)
        with suppress(OSError), self._alone():
            now = time.time()  # noqa: TID251 - the age of files on this machine
            for rolled in self._rolled() if self._settings.compress else ():
                if rolled.suffix != ".gz" and now - rolled.stat().st_ctime >= 2 * NOTICED_AFTER:
                    _compress(rolled, self._settings.mode)
            oldest = now - self._settings.max_age
            for number, rolled in enumerate(self._rolled()):
                is_too_many = 0 < self._settings.keep <= number
                if is_too_many or (self._settings.max_age and rolled.stat().st_mtime < oldest):
                    rolled.unlink(missing_ok=True)

    def _rolled(self) -> list[Path]:
        """Return the rolled files, the latest first."""
        path = self._settings.path
        begin = f"{path.stem}-"
        ends = tuple(
            f"-{reason}{path.suffix}{packed}" for reason in REASONS for packed in ("", ".gz")
        )
        found = [
            p for p in path.parent.iterdir() if p.name.startswith(begin) and p.name.endswith(ends)
        ]
        return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name), reverse=True)


def _make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those around it that are missing."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, mode)
    made = folder.parent.stat().st_mode & 0o7777 if mode == AS_PARENT else mode
    folder.mkdir(mode=made, exist_ok=True)


def _compress(rolled: Path, mode: int) -> None:
    """Replace a file by its gzip; half of one never has the final name."""
    part = rolled.with_name(f".{rolled.name}.gz.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with (
        rolled.open("rb") as source,
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile(rolled.name, "wb", fileobj=raw) as packed,
    ):
        shutil.copyfileobj(source, packed)
    status = rolled.stat()
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
    part.rename(rolled.with_name(f"{rolled.name}.gz"))
    rolled.unlink()
