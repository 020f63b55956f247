"""What a nats-server says of writes that failed.

A stream that once met a full disk takes nothing any more, not even when there is room again: the
server keeps the error until it starts anew (seen of 2.12 to 2.15), and answers no publish meanwhile.
Its log is where a server without a monitoring port tells of it; one with a port shows every local
user who is connected.
"""

from __future__ import annotations

import os
from pathlib import Path

SIGN = b"ritical write error"
"""In the line that tells of it, with either case of its first letter."""
MOST_BYTES = 1024 * 1024
"""Of the log that one look reads: many times what a server writes between two."""
ROOM_BYTES = 16 * 1024 * 1024
"""Free before another start makes sense: two blocks of a stream."""


class WriteErrors:
    """Reads on in a log at each look. What it had before the first is of an earlier server."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = _size(log)
        self.is_stuck = False
        """Whether the server that runs now told of one."""

    def look(self) -> bool:
        """Read what is new; return whether the server is stuck and the disk has room again."""
        size = _size(self._log)
        if size < self._read:  # the log was rotated
            self._read = 0
        if size > self._read:
            with self._log.open("rb") as log:
                log.seek(max(self._read, size - MOST_BYTES))
                self.is_stuck |= SIGN in log.read(MOST_BYTES)
            self._read = size
        return self.is_stuck and self._has_room()

    def forget(self) -> None:
        """Begin anew with a server that has just started."""
        self._read = _size(self._log)
        self.is_stuck = False

    def _has_room(self) -> bool:
        disk = os.statvfs(self._log.parent)
        return disk.f_bavail * disk.f_frsize >= ROOM_BYTES


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0
