"""JSON as Go's ``encoding/json`` writes it, and objects as Caddy's modules become."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

EXACT = 2**53
"""Integers beyond are rounded when a module's object passes through a float, as Caddy's do."""

ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
SURROGATES = re.compile("[\ud800-\udfff]")


def encode(value: Any, *, pretty: bool = False) -> str:
    """Return the JSON text; ``pretty`` is ``caddy adapt --pretty``."""
    text = json.dumps(
        value,
        ensure_ascii=False,
        indent="\t" if pretty else None,
        separators=(",", ": " if pretty else ":"),
    )
    text = TO_ESCAPE.sub(lambda found: ESCAPED[found[0]], text)
    return SURROGATES.sub("\ufffd", text)


def compact(**fields: Any) -> dict[str, Any]:
    """Return an object without its empty fields: Go's ``omitempty``."""
    return {name: value for name, value in fields.items() if not is_empty(value)}


def is_empty(value: Any) -> bool:
    """Whether Go leaves such a value out: nothing, no, zero, or without content."""
    return not value


def module(value: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """Return ``value`` as the module ``name``: keys sorted at every level."""
    made = _sorted({**value, key: name})
    assert isinstance(made, dict)
    return made


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return _rounded(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return _rounded(int(value))
    return value


def _rounded(value: int) -> int:
    """Return what is left of an integer after its shortest form as a float."""
    digits, _, exponent = f"{float(value)!r}".partition("e")
    if not exponent:
        return int(float(value))
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    return int(whole + fraction.ljust(int(exponent), "0"))


def weak(text: str) -> str | int | bool:
    """Return a value that may be a number or a placeholder: a number where it is one."""
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text
