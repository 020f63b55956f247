"""What a value of an expression is: Python's own, with the differences that CEL needs.

bool, int (64 bits), float, str, bytes, None, list, dict are themselves; unsigned numbers are ``Uint``,
times ``datetime`` with a zone, durations ``timedelta`` (microseconds), types ``Type``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

int64 = range(-(2**63), 2**63)
uint64 = range(2**64)


class Uint(int):
    """An unsigned number."""

    __slots__ = ()


class Type(str):
    """The type of a value, as a value."""

    __slots__ = ()


class EvaluationError(Exception):
    """An expression that has no value for this request."""


DYN, BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, LIST, MAP, TYPE, TIMESTAMP, DURATION, REQUEST = (
    "dyn", "bool", "int", "uint", "double", "string", "bytes", "null_type", "list", "map", "type",
    "google.protobuf.Timestamp", "google.protobuf.Duration", "http.Request",
)  # fmt: skip
"""Types, as the checker and ``type()`` name them; ``dyn`` is known when a request comes."""

TYPES = {
    name: Type(name)
    for name in (
        BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, LIST, MAP, TYPE, TIMESTAMP, DURATION,
    )
}  # fmt: skip

_OF_CLASS: dict[type, str] = {
    bool: BOOL, int: INT, Uint: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL,
    list: LIST, dict: MAP, Type: TYPE, datetime: TIMESTAMP, timedelta: DURATION,
}  # fmt: skip
CLASS_OF = {name: kind for kind, name in _OF_CLASS.items()}
_NUMBERS = frozenset({int, float, Uint})


def type_of(value: Any) -> str:
    """Return the name of a value's type."""
    return _OF_CLASS.get(value.__class__, DYN)


def equals(left: Any, right: Any) -> bool:
    """Compare as CEL does: numbers by value whatever their types, other types never equal each other."""
    one, other = left.__class__, right.__class__
    if one is other:
        if one is list:
            return len(left) == len(right) and all(map(equals, left, right))
        if one is dict:
            return len(left) == len(right) and all(
                key in right and equals(value, right[key]) for key, value in left.items()
            )
        return bool(left == right)
    return one in _NUMBERS and other in _NUMBERS and bool(left == right)


def contains(items: Any, wanted: Any) -> bool:
    """Whether a list has an element, or a map a key."""
    if items.__class__ is dict:
        try:
            return any(equals(key, wanted) for key in items) if wanted in items else False
        except TypeError:
            return False
    if items.__class__ is not list:
        raise no_overload("in", wanted, items)
    return any(equals(item, wanted) for item in items)


def from_native(value: Any) -> Any:
    """Return what handlers leave in variables as a value: tuples are lists, the unknown is its text."""
    kind = value.__class__
    if kind is tuple or kind is list:
        return [from_native(item) for item in value]
    if kind is dict:
        return {key: from_native(item) for key, item in value.items()}
    return value if kind in _OF_CLASS else str(value)


def no_overload(name: str, *values: Any) -> EvaluationError:
    """Return the error of a function that does not take such values."""
    return EvaluationError(f"{name} does not take ({', '.join(map(type_of, values))})")
