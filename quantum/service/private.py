"""Files that belong to this user alone: the data directory, secrets, and who holds it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from quantum.errors import QuantumError


class DataDirInUse(QuantumError):
    """Another process works in the same data directory."""


def make_private_dir(path: Path) -> Path:
    """Make ``path`` and its parents; it is closed to other users (0700). OSError when it cannot be."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step, 0600, on disk when it returns."""
    make_private_dir(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DataDirLock:
    """Holds rooms in a data directory: processes with other rooms may share it, the same ones not.

    The operating system frees the lock when the process ends, however it ends.
    """

    def __init__(self, data_dir: Path, names: Iterable[str]) -> None:
        """``names`` are the rooms, and ``nats`` for a process with an embedded server."""
        self._directory = data_dir / "run"
        self._names = sorted(names)
        self._handles: list[int] = []

    def acquire(self) -> None:
        """Take every lock or none; DataDirInUse says who holds one."""
        make_private_dir(self._directory)
        try:
            for name in self._names:
                self._take(self._directory / f"{name}.lock")
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go. Idempotent. The files stay: removing them would let two holders in."""
        while self._handles:
            os.close(self._handles.pop())

    def _take(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            raise DataDirInUse(
                f"{self._directory.parent}: {path.stem} already runs in this data directory"
                f"{f' (process {holder})' if holder else ''}; stop it or choose another --data-dir"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handles.append(handle)
