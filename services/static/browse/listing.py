"""What is in a folder: read with a bound, without what is hidden, in the order that was asked for."""

# ruff: noqa: PTH115, PTH116 - names are str, as in the rest of this room
from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import quote

from quantum.http.files.beneath import status_beneath
from services.static.paths import Hidden

ORDERS: dict[str, Callable[[Item], tuple[bool | int | str, ...]]] = {
    "name": lambda item: (item.name.lower(),),
    "namedirfirst": lambda item: (not item.is_directory, item.name.lower()),
    # Folders first, by name: their sizes say nothing.
    "size": lambda item: (not item.is_directory, 0 if item.is_directory else item.size,
                          item.name.lower()),
    "time": lambda item: (item.modified_ns, item.name.lower()),
}  # fmt: skip
"""The orders a list can have, by Caddy's names."""
UNESCAPED = "$&+,/:;=@-_.~"
"""Characters that Go leaves as they are in a path."""

_GO_KINDS = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISCHR, 1 << 26 | 1 << 21),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISSOCK, 1 << 24),
)
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@dataclass(frozen=True, slots=True)
class Item:
    """One entry. ``name`` of a folder ends in a slash; ``size`` is that of a link's target."""

    name: str
    size: int
    modified_ns: int
    mode: int
    is_directory: bool
    is_symlink: bool
    target: str = ""
    """Where a link leads, where that may be told."""

    @property
    def url(self) -> str:
        """The reference to it, relative to the folder's own URL."""
        return "./" + quote(self.name, safe=UNESCAPED, errors="surrogateescape")

    @property
    def go_mode(self) -> int:
        """Its mode in the numbers of Go's ``fs.FileMode``, which readers of Caddy's JSON know."""
        kind = next((bit for is_kind, bit in _GO_KINDS if is_kind(self.mode)), 0)
        bits = sum(bit for mask, bit in _GO_BITS if self.mode & mask)
        return kind | bits | stat.S_IMODE(self.mode) & 0o777


@dataclass(slots=True)
class Listing:
    """A folder. ``modified`` is the latest of its own time and those of its entries, in seconds."""

    path: str
    items: list[Item]
    modified: int
    sort: str = ""
    order: str = ""
    offset: int = 0
    limit: int = 0
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = len(self.items)

    def arrange(self, sort: str, order: str, limit: str, offset: str) -> None:
        """Sort and cut the items. What makes no sense is left out: anybody can write a link."""
        self.sort, self.order = sort, order
        key = ORDERS.get(sort, ORDERS["name"])
        self.items.sort(key=key, reverse=order == "desc")
        first, most = _count(offset), _count(limit)
        if 0 < first <= len(self.items):
            self.items, self.offset = self.items[first:], first
        if 0 < most <= len(self.items):
            self.items, self.limit = self.items[:most], most


def read_folder(
    root: str, name: str, path: str, *, is_hidden: Hidden | None, most: int, reveals: bool
) -> Listing:
    """Look at up to ``most`` entries of the folder ``name`` below ``root``. Blocks; OSError."""
    modified = os.stat(name).st_mtime
    items: list[Item] = []
    with os.scandir(name) as entries:
        for entry in _shown(islice(entries, most), is_hidden):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone meanwhile
            modified = max(modified, status.st_mtime)
            items.append(_item(root, entry, status, reveals=reveals))
    return Listing(path, items, int(modified))


def _shown(
    entries: Iterable[os.DirEntry[str]], is_hidden: Hidden | None
) -> Iterable[os.DirEntry[str]]:
    return (e for e in entries if is_hidden is None or not is_hidden(e.path))


def _item(root: str, entry: os.DirEntry[str], status: os.stat_result, *, reveals: bool) -> Item:
    is_symlink = stat.S_ISLNK(status.st_mode)
    # A link that leads nowhere, or out of the root where nothing is served, is shown as what it is.
    seen = (status_beneath(root, entry.path) or status) if is_symlink else status
    is_directory = stat.S_ISDIR(seen.st_mode)
    target = os.readlink(entry.path) if is_symlink and reveals else ""
    return Item(
        name=entry.name + "/" if is_directory else entry.name,
        size=seen.st_size,
        modified_ns=status.st_mtime_ns,
        mode=status.st_mode,
        is_directory=is_directory,
        is_symlink=is_symlink,
        target=target,
    )


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
