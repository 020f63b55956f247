"""Query strings as Go reads and writes them, since Caddy's matchers and rewrites are defined by that.

Pairs are split at ``&`` alone; a pair with ``;`` or a broken escape is malformed. Sources: WHATWG URL
(application/x-www-form-urlencoded), Go's net/url.
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus, unquote_to_bytes

Values = dict[str, list[str]]

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(raw: str | None) -> tuple[Values, bool]:
    """Return the pairs by key, and whether all were well-formed; malformed ones are left out."""
    values: Values = {}
    if not raw:
        return values, True
    well_formed = True
    for pair in raw.split("&"):
        if not pair:
            continue
        key, _, value = pair.partition("=")
        if ";" in pair or ("%" in pair and _BROKEN_ESCAPE.search(pair) is not None):
            well_formed = False
            continue
        values.setdefault(_decode(key), []).append(_decode(value))
    return values, well_formed


def encode_query(values: Values) -> str:
    """Return ``values`` as a query string, keys in order."""
    return "&".join(
        f"{escape(key)}={escape(value)}" for key in sorted(values) for value in values[key]
    )


def escape(text: str) -> str:
    """Percent-encode ``text`` for a query, a space as ``+``; bytes that are no UTF-8 survive."""
    return quote_plus(text.encode("utf-8", "surrogateescape"))


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")
