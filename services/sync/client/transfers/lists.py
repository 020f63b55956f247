"""Which chunks a content is made of: cut as the server cuts, once, while the content is hashed anyway."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from services.sync.content.cutting import cut, hash_of
from services.sync.content.manifest import Manifest

EDITED_FROM = 1024 * 1024
"""Bytes from which an edited file travels by chunks: below, asking for them costs as much as the content."""

NEW_FROM = 8 * 1024 * 1024
"""Bytes from which a new file does so too: its upload goes on where it stopped, and what the server has
under another name is not sent. Below, one request is faster."""

RESUMED_FROM = 4 * 1024 * 1024
"""Bytes from which a download is continued after an interruption instead of begun again."""

Read = Callable[[int], bytes]
"""Returns up to so many of the next bytes; b"" at the end."""


class Cut(Protocol):
    """Reads a content to its end and tells its chunks. Blocks."""

    def __call__(self, read: Read) -> Manifest:
        """Return the manifest of everything that ``read`` returns."""


def cut_content(read: Read) -> Manifest:
    """Return the manifest of a content: its chunks are hashed here, the whole in a second thread.

    Both take the same time, and hashing releases the interpreter's lock: it is read once and takes
    hardly longer than hashing it without cutting.
    """
    with ThreadPoolExecutor(1, "sync-hash") as beside:
        source = _Tapped(read, beside)
        chunks = tuple((hash_of(piece), len(piece)) for piece in cut(source))  # type: ignore[arg-type]
        whole = source.finish()
    return Manifest(whole, sum(size for _, size in chunks), chunks)


@dataclass(frozen=True)
class Cutting:
    """How contents are cut, and which. A simulation cuts small ones."""

    cut: Cut = cut_content
    edited_from: int = EDITED_FROM
    new_from: int = NEW_FROM
    resumed_from: int = RESUMED_FROM


class _Tapped:
    """A file to be cut, whose bytes are hashed on their way, at most one read behind."""

    def __init__(self, read: Read, beside: ThreadPoolExecutor) -> None:
        self._read = read
        self._beside = beside
        self._digest = hashlib.sha256()
        self._last: Future[Any] | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self._read(size)
        if self._last is not None:
            self._last.result()
        self._last = self._beside.submit(self._digest.update, data)
        return data

    def finish(self) -> str:
        """Return the hash of all that was read."""
        if self._last is not None:
            self._last.result()
        return self._digest.hexdigest()


def spans(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """Return where each chunk is in a content, as (offset, size), by its hash."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    for name, size in manifest.chunks:
        found.setdefault(name, (at, size))
        at += size
    return found
