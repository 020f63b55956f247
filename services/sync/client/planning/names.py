"""The names of conflict copies: ``notes (conflict of laptop, 2026-11-23).md``."""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_NAME = 255
"""Bytes of a name: the limit of the common file systems."""

LONGEST_CLIENT = 40
"""Characters of a client's name in a copy's name: room is left for the file's own."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def conflict_path(path: str, client: str, date: str, is_taken: Callable[[str], bool]) -> str:
    """Return a free path beside ``path`` for the version that gives way. ``date`` is ISO 8601."""
    above, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:  # no dot, or a hidden file such as .profile
        stem, dot, extension = name, "", ""
    who = _UNSAFE.sub("-", client)[:LONGEST_CLIENT].strip("-") or "client"
    number = 1
    while True:
        mark = f" (conflict of {who}, {date}{f' {number}' if number > 1 else ''})"
        room = LONGEST_NAME - len(f"{mark}{dot}{extension}".encode())
        if room < 1:  # an "extension" of absurd length is part of the name
            stem, dot, extension = name, "", ""
            continue
        copy = f"{above}{slash}{_shorten(stem, room)}{mark}{dot}{extension}"
        if not is_taken(copy):
            return copy
        number += 1


def _shorten(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
