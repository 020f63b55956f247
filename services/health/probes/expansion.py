"""Placeholders in the fields and the body of a check: what is known without any request.

As in Caddy: the environment, the time, the system and files, and the upstream that is checked; an
unknown one is empty in names and Host, and kept verbatim in other fields' values and the body.
"""

from __future__ import annotations

import re

from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.http.placeholders import surroundings

TARGET_UPSTREAM = "http.reverse_proxy.active.target_upstream"

_KEY = re.compile(r"\{([^{}\s]+)\}")
_NOBODY = Request(
    "GET", "http", "", "/", None, Headers(), b"", ConnectionFacts(("", 0), ("", 0), "http")
)
"""What the lookups are called with: those used here ask nothing of a request."""


def expand(text: str, upstream: str, *, keep_unknown: bool = False) -> str:
    """Return ``text`` with its placeholders replaced."""
    if "{" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        key = match[1]
        if key == TARGET_UPSTREAM:
            return upstream
        lookup = surroundings.find(key)
        found = None if lookup is None else lookup(_NOBODY)
        return found if found is not None else (match[0] if keep_unknown else "")

    return _KEY.sub(value, text)
