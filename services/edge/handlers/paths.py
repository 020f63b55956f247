"""Changing a percent-encoded path without opening a way around the rules that guard it.

A path is changed in its escaped form, compared in its decoded one: ``/%61pi`` loses the prefix
``/api``, while a pattern that spells an escape (``/a%2Fb``) wants exactly that. Whatever was changed goes
through ``settled``: absolute, no dot segments, a spelling that every later reader takes the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from quantum.http.placeholders.request import decoded
from quantum.http.target import check_path, normalise

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WIRE_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]]|%[0-9A-Fa-f]{2})*")
_DOTS = re.compile(r"(?i)(?:^|/)(?:\.|%2e){1,2}(?:/|$)")


def escape_path(text: str) -> str:
    """Percent-encode a decoded path; slashes stay slashes."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="/$&+,:;=@")


def settled(path: str) -> str:
    """Return ``path`` fit for the wire: absolute, validly escaped, without dot segments.

    HttpError 400 when what it hides behind escapes cannot be read one way only.
    """
    if _WIRE_PATH.fullmatch(path) is None:
        path = escape_path(decoded(path))
    if not path.startswith("/"):
        text = decoded(path)
        path = escape_path(text) if text.startswith("/") else "/" + path
    if _DOTS.search(path) is not None:
        path = normalise(re.sub("(?i)%2e", ".", path), merge_slashes=False)
    check_path(path)
    return path


def changed(path: str, change: Callable[[str], str]) -> str:
    """Return the escaped ``path`` after ``change``, settled.

    A change that broke an escape (digits replaced inside ``%20``) is made to the decoded path instead.
    """
    result = change(path)
    if result == path:
        return path
    if _BROKEN_ESCAPE.search(result) is not None:
        result = escape_path(change(decoded(path)))
    return settled(result)


def cleaned(path: str, pattern: str) -> str:
    """Return the escaped ``path`` cleaned for a comparison; slashes merge unless ``pattern`` has ``//``."""
    if "//" not in path and "/." not in path:
        return path
    return normalise(path, merge_slashes="//" not in pattern)


def without_prefix(path: str, prefix: str) -> str:
    """Return the escaped ``path`` without ``prefix``, or as it is when it does not begin so."""
    if "%" not in path:
        size = len(prefix)
        return path[size:] if path[:size].lower() == prefix.lower() else path
    prefix = _bytewise(prefix)
    place = at = 0
    while place < len(path) and at < len(prefix):
        char, step = path[place], 1
        if char == "%" and prefix[at] != "%" and len(path) >= place + 3:
            char, step = decoded(path[place : place + 3]), 3
        if char.lower() != prefix[at].lower():
            return path
        place += step
        at += 1
    return path[place:] if at >= len(prefix) else path


def without_suffix(path: str, suffix: str) -> str:
    """Return the escaped ``path`` without ``suffix``, or as it is when it does not end so."""
    if "%" not in path:
        size = len(suffix)
        return path[:-size] if path[-size:].lower() == suffix.lower() else path
    suffix = _bytewise(suffix)
    place, at = len(path), len(suffix)
    while place > 0 and at > 0:
        char, step = path[place - 1], 1
        spells_escape = at >= 3 and suffix[at - 3] == "%"
        if place >= 3 and path[place - 3] == "%" and not spells_escape:
            char, step = decoded(path[place - 3 : place]), 3
        if char.lower() != suffix[at - 1].lower():
            return path
        place -= step
        at -= 1
    return path[:place] if at <= 0 else path


def _bytewise(text: str) -> str:
    """Return ``text`` with each byte that is no ASCII apart, as single escapes of a path decode."""
    return text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
