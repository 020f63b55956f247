"""``{$NAME}`` and ``{$NAME:default}``: replaced in the text before it is read."""

from __future__ import annotations

from collections.abc import Mapping

OPEN, CLOSE = "{$", "}"


def replace_variables(text: str, environment: Mapping[str, str]) -> str:
    """Return ``text`` with its variables replaced; what is put in is not looked at again."""
    parts: list[str] = []
    at = 0
    while (begin := text.find(OPEN, at)) >= 0:
        end = text.find(CLOSE, begin + len(OPEN))
        if end < 0:
            break
        span = text[begin + len(OPEN) : end]
        parts.append(text[at:begin])
        name, _, default = span.partition(":")
        parts.append(environment.get(name, default) if span else text[begin : end + 1])
        at = end + 1
    parts.append(text[at:])
    return "".join(parts)
