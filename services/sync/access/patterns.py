"""Globs over the paths of a share: ``*`` within a name, ``**`` across names, ``?`` one character.

A pattern that names a folder means everything below it too. Matching takes linear time (RE2), whatever
a client sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from quantum.config.pattern import Pattern

Matches = Callable[[str], bool]

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_QUOTED = re.compile(r"[^A-Za-z0-9_/\x80-\U0010ffff]")
_MEANINGS = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compile_patterns(patterns: Sequence[str]) -> Matches:
    """Return whether a path matches any of them."""
    alternatives = [f"(?:{_translate(pattern.strip('/'))})(?:/.*)?" for pattern in patterns]
    matcher = Pattern("(?s)^(?:" + "|".join(alternatives) + ")$")
    return lambda path: matcher.search(path) is not None


def _translate(pattern: str) -> str:
    parts = _PARTS.findall(pattern)
    return "".join(_MEANINGS.get(part) or _QUOTED.sub(r"\\\g<0>", part) for part in parts)
