r"""Path globs as Go's path.Match reads them: ``*`` and ``?`` stop at a slash, ``[a-z]``, ``[^…]``, ``\x``."""

from __future__ import annotations

import re
from collections.abc import Callable

from quantum.config.pattern import Pattern
from quantum.http.placeholders.request import decoded

_SPECIAL = frozenset("*?[\\")


def is_plain(pattern: str) -> bool:
    """Whether ``pattern`` matches nothing but itself."""
    return _SPECIAL.isdisjoint(pattern)


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return the question whether a text matches; a malformed pattern matches nothing, as in Go."""
    if is_plain(pattern):
        return pattern.__eq__
    try:
        compiled = Pattern(rf"(?s)\A{_translate(pattern)}\z")
    except ValueError:
        return lambda text: False
    return lambda text: compiled.search(text) is not None


def _translate(pattern: str) -> str:
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            text, index = _class(pattern, index + 1)
            parts.append(text)
            continue
        elif char == "\\":
            index += 1
            if index == len(pattern):
                raise ValueError("a pattern cannot end in a backslash")
            parts.append(re.escape(pattern[index]))
        else:
            parts.append(re.escape(char))
        index += 1
    return "".join(parts)


def _class(pattern: str, index: int) -> tuple[str, int]:
    """Translate a character class whose content starts at ``index``; return it and where it ends."""
    negated = pattern.startswith("^", index)
    index += negated
    ranges: list[str] = []
    while not pattern.startswith("]", index) or not ranges:
        low, index = _member(pattern, index)
        high = low
        if pattern.startswith("-", index):
            high, index = _member(pattern, index + 1)
        if low > high:
            raise ValueError("a range is the wrong way round")
        ranges.append(rf"\x{{{ord(low):x}}}-\x{{{ord(high):x}}}")
    return f"[{'^' if negated else ''}{''.join(ranges)}]", index + 1


def _member(pattern: str, index: int) -> tuple[str, int]:
    if index >= len(pattern) or pattern[index] in "-]":
        raise ValueError("a character class is not closed")
    if pattern[index] == "\\":
        index += 1
        if index >= len(pattern):
            raise ValueError("a pattern cannot end in a backslash")
    return pattern[index], index + 1


def reveal(escaped: str, pattern: str) -> str | None:
    """Return ``escaped`` decoded, except where ``pattern`` spells an escape; None when it cannot match.

    Pattern and path are walked side by side: at an escape in the pattern (``%2f``) the path's escape stays,
    at ``%*`` a whole span stays, at ``*`` a span is decoded, elsewhere each character is. The result is
    in lower case, to be matched with the pattern as a glob.
    """
    shown: list[str] = []
    at, place = 0, 0
    while at < len(pattern) and place < len(escaped):
        char, step = escaped[place], 1
        raw = ""
        if char == "%" and len(escaped) >= place + 3:
            raw, step = escaped[place : place + 3].lower(), 3
            char = decoded(raw)
        if pattern[at] == "%" and len(pattern) >= at + 3 and pattern[at + 1] != "*":
            shown.append(raw)
            place += step
            at += 3
            continue
        if pattern[at] in "%*":
            keeps = pattern[at] == "%"
            at += 1 if keeps else 0
            until = len(escaped)
            if at < len(pattern) - 1:
                until = escaped.find(pattern[at + 1], place)
                if until < 0:
                    return None
            span = escaped[place:until]
            shown.append(span if keeps else decoded(span))
            place = until
        else:
            shown.append(char)
            place += step
        at += 1
    return "".join(shown).lower() if place == len(escaped) else None
