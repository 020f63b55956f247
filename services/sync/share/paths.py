"""Which names a share can have: the same set on every system that syncs it.

A path is relative, ``/`` between its segments, in Unicode's NFC (other forms are normalised, so that
``é`` is one name whatever the client's system makes of it). Refused is what would escape, what some
system reserves, and what would mean two files on one system and one on another.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_SEGMENT = 255
"""Bytes of one name in UTF-8: the limit of ext4, XFS, APFS and NTFS (there: characters)."""

LONGEST_PATH = 1024
"""Bytes of a whole path: macOS's limit, the smallest of the common ones."""

HIDDEN = ".quantum"
"""The folder at the root that holds what is on its way in; no path may name it, in any case."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])( *\.|\Z)", re.IGNORECASE)
_SHORT_NAME = re.compile(r"[^.]{1,6}~[0-9]+(\.[^.]{0,3})?\Z")


class PathRefused(Exception):
    """A name a share cannot have; the text says why and may be sent to the client."""


def parse_path(text: str) -> str:
    """Return the path in its one form; raises PathRefused."""
    path = unicodedata.normalize("NFC", text)
    if not path:
        raise PathRefused("the path is empty")
    for segment in path.split("/"):
        _check_segment(segment)
    if len(path.encode()) > LONGEST_PATH:
        raise PathRefused(f"the path is longer than {LONGEST_PATH} bytes")
    return path


def is_shared(name: str) -> bool:
    """Whether a name found on the disk can be part of a path: it has the one form already."""
    try:
        return parse_path(name) == name and "/" not in name
    except PathRefused:
        return False


def _check_segment(segment: str) -> None:
    if not segment:
        raise PathRefused("the path is absolute or has an empty segment")
    if segment in {".", ".."}:
        raise PathRefused("dot segments are not allowed")
    if segment.casefold() == HIDDEN:
        raise PathRefused(f"{HIDDEN} is reserved")
    bad = _FORBIDDEN.search(segment)
    if bad is not None:
        raise PathRefused(f"the character {bad[0]!r} is not allowed")
    if segment[-1] in ". ":
        raise PathRefused("a name cannot end with a dot or a space")
    if _RESERVED.match(segment):
        raise PathRefused(f"{segment!r} is reserved on Windows")
    if _SHORT_NAME.match(segment):
        raise PathRefused(f"{segment!r} has the form of a Windows short name")
    if len(segment.encode()) > LONGEST_SEGMENT:
        raise PathRefused(f"a name is longer than {LONGEST_SEGMENT} bytes")
