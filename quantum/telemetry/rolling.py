"""A log in a file that is rolled when it is large (``caddy.logging.writers.file``).

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

NOTICED_AFTER = 1.0
"""Seconds between looks at whether the name still leads to the open file."""
STAMP = "%Y-%m-%dT%H-%M-%S"


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


class RollingFile:
    """Takes the place of ``LineWriter``. Opening raises OSError; ``write`` never does."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self.dropped = 0
        self._descriptor = -1
        self._looked = 0.0
        self._lock = threading.Lock()  # libraries log from threads
        settings.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        bound = self._settings.max_bytes
        if bound and (size := os.fstat(self._descriptor).st_size) > 0 and size + coming > bound:
            with self._alone():
                if self._is_current():  # else another process rolled it meanwhile
                    os.rename(self._settings.path, self._rolled_name())  # noqa: PTH104
                    threading.Thread(target=self._tidy, name="log-rolled", daemon=True).start()
                self._open()

    def _is_current(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._settings.path), os.fstat(self._descriptor))  # noqa: PTH116
        except FileNotFoundError:
            return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from rolling; the lock ends with the process that holds it."""
        path = self._settings.path
        place = path.with_name(f".{path.name}.lock")
        lock = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _rolled_name(self) -> Path:
        """Return a free name: ``access-2026-11-26T15-04-05.000-size.log``, as Caddy's."""
        path = self._settings.path
        while True:
            now = datetime.now(UTC)
            moment = now.astimezone() if self._settings.local_time else now
            stamp = f"{moment.strftime(STAMP)}.{moment.microsecond // 1000:03d}"
            name = path.with_name(f"{path.stem}-{stamp}-size{path.suffix}")
            if not name.exists() and not name.with_name(f"{name.name}.gz").exists():
                return name
            time.sleep(0.001)  # two within a millisecond: the next one is free

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
        begin, ends = f"{path.stem}-", (f"-size{path.suffix}", f"-size{path.suffix}.gz")
        found = [
            p for p in path.parent.iterdir() if p.name.startswith(begin) and p.name.endswith(ends)
        ]
        return sorted(found, key=lambda p: p.name, reverse=True)


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
