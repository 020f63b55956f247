"""Entity tags of files, in Caddy's form: modification time and size, so no content has to be read."""

from __future__ import annotations

from functools import lru_cache

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

UNDATED = frozenset({0, 1})
"""Modification times (Unix seconds) that say nothing: build systems that want reproducible archives
set them, so that every version of a file would have the same tag (Caddy #5548)."""


@lru_cache(4096)
def etag_of(modified_ns: int, size: int) -> bytes:
    """Return ``"<modification time in ns, base 36>-<size, base 36>"`` with its quotes."""
    return f'"{_base36(modified_ns)}-{_base36(size)}"'.encode()


def _base36(number: int) -> str:
    if number < 0:
        return "-" + _base36(-number)
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return _DIGITS[number] + digits
