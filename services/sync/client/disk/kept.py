"""Small contents between the look that read them and the request that sends them.

A file that is new here is read to be hashed, and a moment later to be sent: of many small files that is a
quarter of the client's calls of the system. What is kept is sent only if the file is still the one that was read.
"""

from __future__ import annotations

from typing import NamedTuple

from services.sync.client.disk.calls import Status
from services.sync.client.planning.actions import SMALL

BUDGET = 32 * 1024 * 1024
"""Bytes kept in one sync: ten thousand small files, and no more memory than the client has anyway."""

OVERHEAD = 512
"""Bytes counted for each content beside its own: its path, its status, its places in tables."""

LARGEST = SMALL
"""Bytes of one content: what travels alone is read as it is sent."""


class _Kept(NamedTuple):
    status: Status
    hash: str
    data: bytes


class KeptContents:
    """Contents by path, each handed out once."""

    def __init__(self) -> None:
        self._contents: dict[str, _Kept] = {}
        self._spent = 0

    def keep(self, path: str, status: Status, digest: str, data: bytes) -> None:
        """Keep what was read of a file while it had that status, if there is room."""
        size = len(data) + OVERHEAD
        if len(data) <= LARGEST and self._spent + size <= BUDGET:
            self._spent += size
            self._contents[path] = _Kept(status, digest, data)

    def take(self, path: str, digest: str, status: Status | None) -> bytes | None:
        """Return a content and forget it; None unless it has that hash, and the file that status still."""
        kept = self._contents.pop(path, None)
        is_same = kept is not None and kept.hash == digest and kept.status == status
        return kept.data if kept is not None and is_same else None

    def clear(self) -> None:
        """Forget everything: a sync is over, and what was not sent by then was not wanted."""
        self._contents.clear()
        self._spent = 0
