"""Request targets: decoded once, normalised once, the same form for matchers and for files.

A path that a matcher read one way and a file server another is how access rules are walked around,
so both take ``clean_path``. The raw form stays in ``Request.path`` and is what goes upstream.

The policy for what is hidden in percent-encoding, where rules and backends tend to disagree:

- ``%00`` and broken escapes (``%zz``, ``%4``) are refused with 400;
- ``%2F`` and ``%5C`` are decoded as any other escape (``/projects/group%2Fname`` is in real use), but
  a path in which they would make a dot segment (``/public/..%2Fadmin``, ``..%5C``) is refused with 400;
- bytes that are no UTF-8 become surrogate escapes, as the file system's functions expect them.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from quantum.errors import HttpError

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIDDEN_SEPARATOR = re.compile(r"%2[fF]|%5[cC]|\\")
_SEPARATORS = re.compile(r"[/\\]")


def decode_path(raw: str) -> str:
    """Return ``raw`` percent-decoded, once; HttpError 400 for what the policy above refuses."""
    if "%" not in raw and "\\" not in raw:
        return raw
    if _BROKEN_ESCAPE.search(raw) is not None:
        raise HttpError(400, "broken percent-encoding in the path")
    decoded = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
    if "\0" in decoded:
        raise HttpError(400, "NUL in the path")
    if _HIDDEN_SEPARATOR.search(raw) is not None and ".." in decoded:
        visible = raw.replace("%2e", ".").replace("%2E", ".").split("/")
        if _SEPARATORS.split(decoded).count("..") != visible.count(".."):
            raise HttpError(400, "dot segment hidden behind an encoded separator")
    return decoded


def clean_path(raw: str) -> str:
    """Return the form that matchers and file servers share: decoded, absolute, without dot segments.

    Runs of slashes are one slash; ``..`` never leaves the root; a trailing slash stays, since it
    tells a directory. HttpError 400 as ``decode_path``.
    """
    if (
        "%" not in raw
        and "/." not in raw
        and "//" not in raw
        and "\\" not in raw
        and raw[:1] == "/"
    ):
        return raw  # nearly every path: four scans in C instead of a walk over segments
    return normalise(decode_path(raw))


def normalise(decoded: str, *, merge_slashes: bool = True) -> str:
    """Resolve the dot segments of a decoded path, and unless told otherwise merge its slashes."""
    if decoded == "*":
        return decoded
    kept: list[str] = []
    segments = decoded.split("/")
    for segment in segments[1:] if decoded.startswith("/") else segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != "." and (segment or not merge_slashes):
            kept.append(segment)
    path = "/" + "/".join(kept)
    if segments[-1] in {"", ".", ".."} and not path.endswith("/"):
        path += "/"
    return path


def check_path(raw: str) -> None:
    """Raise HttpError 400 for a path that ``decode_path`` would refuse; codecs call it once."""
    if "%" in raw or "\\" in raw:
        decode_path(raw)
