"""Texts: the standard's functions and cel-go's library ``strings``. Places count characters."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from quantum.config.pattern import Pattern
from services.edge.expression.code import Overload
from services.edge.expression.values import (
    BOOL,
    BYTES,
    INT,
    LIST,
    STRING,
    EvaluationError,
    no_overload,
    type_of,
)

REMEMBERED_PATTERNS = 256
MAX_TEXT = 1024 * 1024
"""Characters that ``replace`` and ``join`` may make of a request: more serves nobody."""

_VERB = re.compile(r"%(?:\.(\d+))?([sdfexXbo%])")
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_QUOTED = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\", '"': r"\"",
}  # fmt: skip


@lru_cache(maxsize=REMEMBERED_PATTERNS)
def _pattern(text: str) -> Pattern:
    return Pattern(text)


def _matches(text: str, pattern: str) -> bool:
    try:
        return _pattern(pattern).is_in(text)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _index(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index(text: str, part: str, end: int | None = None) -> int:
    if end is None:
        return text.rfind(part)
    if not 0 <= end <= len(text):
        raise EvaluationError(f"index out of range: {end}")
    return text.rfind(part, 0, end + len(part))


def _char(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text) if end is None else end
    if not 0 <= start <= last <= len(text):
        raise EvaluationError(f"range out of bounds: {start}, {last}")
    return text[start:last]


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return _bounded(text.replace(old, new, limit))


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(text)
        return parts if limit < 0 or len(parts) <= limit else [*parts[: limit - 1], "".join(parts[limit - 1 :])]  # fmt: skip
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _join(items: list[Any], separator: str = "") -> str:
    if any(item.__class__ is not str for item in items):
        raise no_overload("join", items)
    return _bounded(separator.join(items))


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise EvaluationError(f"a text longer than {MAX_TEXT} characters")
    return text


def _lower(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def _upper(text: str) -> str:
    return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in text)


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


def _format(template: str, values: list[Any]) -> str:
    given = iter(values)

    def one(found: re.Match[str]) -> str:
        if found[2] == "%":
            return "%"
        try:
            value = next(given)
        except StopIteration:
            raise EvaluationError("format: more verbs than values") from None
        return _formatted(found[2], found[1], value)

    return _bounded(_VERB.sub(one, template))


def _formatted(verb: str, precision: str | None, value: Any) -> str:
    is_number = value.__class__ in {int, float} or type_of(value) == "uint"
    if verb == "s":
        return shown(value)
    if verb in "dxXbo" and is_number and value.__class__ is not float:
        return format(int(value), verb)
    if verb in "xX" and value.__class__ in {str, bytes}:
        data: bytes = value.encode() if isinstance(value, str) else value
        return data.hex().upper() if verb == "X" else data.hex()
    if verb in "fe" and is_number:
        return format(float(value), f".{min(int(precision or 6), 30)}{verb}")
    raise EvaluationError(f"format: %{verb} does not take {type_of(value)}")


def shown(value: Any) -> str:
    """Return a value as ``string()`` and ``%s`` show it."""
    if value is None or value.__class__ is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if value.__class__ is float:
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if value.__class__ is list:
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if value.__class__ is bytes:
        return str(value.decode("utf-8", "replace"))
    return str(value)


_TEXT = (STRING, STRING)

STRINGS: dict[str, list[Overload]] = {
    ".contains": [Overload(_TEXT, BOOL, lambda text, part: part in text, safe=True)],
    ".startsWith": [Overload(_TEXT, BOOL, str.startswith, safe=True)],
    ".endsWith": [Overload(_TEXT, BOOL, str.endswith, safe=True)],
    ".matches": [Overload(_TEXT, BOOL, _matches)],
    "matches": [Overload(_TEXT, BOOL, _matches)],
    "_+_": [
        Overload(_TEXT, STRING, lambda a, b: a + b, safe=True),
        Overload((BYTES, BYTES), BYTES, lambda a, b: a + b, safe=True),
    ],
    ".charAt": [Overload((STRING, INT), STRING, _char)],
    ".indexOf": [Overload(_TEXT, INT, _index), Overload((*_TEXT, INT), INT, _index)],
    ".lastIndexOf": [Overload(_TEXT, INT, _last_index), Overload((*_TEXT, INT), INT, _last_index)],
    ".lowerAscii": [Overload((STRING,), STRING, _lower, safe=True)],
    ".upperAscii": [Overload((STRING,), STRING, _upper, safe=True)],
    ".trim": [Overload((STRING,), STRING, lambda text: text.strip(_SPACES), safe=True)],
    ".replace": [
        Overload((STRING, STRING, STRING), STRING, _replace),
        Overload((STRING, STRING, STRING, INT), STRING, _replace),
    ],
    ".split": [
        Overload(_TEXT, LIST, _split, safe=True),
        Overload((*_TEXT, INT), LIST, _split, safe=True),
    ],
    ".substring": [
        Overload((STRING, INT), STRING, _substring),
        Overload((STRING, INT, INT), STRING, _substring),
    ],
    ".join": [Overload((LIST,), STRING, _join), Overload((LIST, STRING), STRING, _join)],
    ".reverse": [
        Overload((STRING,), STRING, lambda text: text[::-1], safe=True),
        Overload((LIST,), LIST, lambda items: items[::-1], safe=True),
    ],
    ".format": [Overload((STRING, LIST), STRING, _format)],
    "strings.quote": [Overload((STRING,), STRING, _quote, safe=True)],
}
