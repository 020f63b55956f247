"""Go's own functions (text/template, "Functions"); ``and`` and ``or`` are decided by the execution."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from quantum.http.query import escape
from services.edge.templates.functions.formats import sprintf
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import equal, is_true, less, shown

_SCRIPT = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D",
    "\n": "\\u000A", "\r": "\\u000D", "\t": "\\u0009",
}  # fmt: skip
_UNSAFE = re.compile(r"[\\'\"<>&=\x00-\x1f]")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("eq takes two arguments or more")
    return any(equal(first, other) for other in others)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list | str):
            if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {shown(key)}")
            value = value[key] if isinstance(value, list) else value.encode()[key]
        else:
            raise TemplateError("can't index this value")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, list | str) or len(bounds) > 2:
        raise TemplateError("can't slice this value")
    start, end = (*bounds, *(0, len(value))[len(bounds) :])
    if not 0 <= start <= end <= len(value):
        raise TemplateError(f"index out of range: {start}:{end}")
    return value[start:end]


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if not isinstance(value, list | dict):
        raise TemplateError("len of a value without a length")
    return len(value)


def _print(*values: Any) -> str:
    """Print as Go's Sprint: a space between two values of which none is a text."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += shown(value, inside=True)
    return text


def _script(*values: Any) -> str:
    return _UNSAFE.sub(
        lambda found: _SCRIPT.get(found[0], f"\\u{ord(found[0]):04X}"), _print(*values)
    )


def _call(function: Any, *arguments: Any) -> Any:
    if not callable(function):
        raise TemplateError("call of a value that is no function")
    return function(*arguments)


BUILTINS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: values,
    "or": lambda *values: values,
    "not": lambda value: not is_true(value),
    "eq": _eq,
    "ne": lambda one, other: not equal(one, other),
    "lt": less,
    "le": lambda one, other: not less(other, one),
    "gt": lambda one, other: less(other, one),
    "ge": lambda one, other: not less(one, other),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": sprintf,
    "println": lambda *values: " ".join(shown(v, inside=True) for v in values) + "\n",
    "html": lambda *values: (
        html.escape(_print(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    ),
    "js": _script,
    "urlquery": lambda *values: escape(_print(*values)),
    "call": _call,
}
