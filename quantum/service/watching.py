"""Noticing that the configuration file changed (``--watch``)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from quantum.clock import Clock

POLL_SECONDS = 1.0
"""A look at one file's status costs microseconds, and works on every file system and mount."""


async def watch_file(path: Path, clock: Clock, on_change: Callable[[], Awaitable[None]]) -> None:
    """Call ``on_change`` whenever the content of ``path`` became another; runs until cancelled.

    A file that is missing for a moment (an editor replaces it) is no change.
    """
    stamp, digest = _stamp(path), _digest(path)
    while True:
        await clock.sleep(POLL_SECONDS)
        found = _stamp(path)
        if found is None or found == stamp:
            continue
        content = _digest(path)
        if content is None:
            continue
        stamp, changed, digest = found, content != digest, content
        if changed:
            await on_change()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
