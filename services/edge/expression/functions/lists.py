"""The library of lists (cel-go, ``ext.Lists``)."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from services.edge.expression.code import Overload
from services.edge.expression.values import (
    DYN,
    INT,
    LIST,
    EvaluationError,
    equals,
    no_overload,
    type_of,
)

MAX_RANGE = 100_000
"""Elements of ``lists.range``: an expression is evaluated while a client waits."""


def _at(items: list[Any], index: int) -> Any:
    if not 0 <= index < len(items):
        raise EvaluationError(f"index out of bounds: {index}")
    return items[index]


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise EvaluationError(f"cannot slice ({start}, {end}) of {len(items)} elements")
    return items[start:end]


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("flatten: the depth cannot be negative")
    flat: list[Any] = []
    for item in items:
        flat.extend(_flatten(item, depth - 1) if item.__class__ is list and depth else [item])
    return flat


def _distinct(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if not any(equals(item, other) for other in kept):
            kept.append(item)
    return kept


def _range(count: int) -> list[int]:
    if count > MAX_RANGE:
        raise EvaluationError(f"lists.range gives {MAX_RANGE} elements at most")
    return list(range(count))


def _sort(items: list[Any]) -> list[Any]:
    def order(one: Any, other: Any) -> int:
        if type_of(one) != type_of(other) or type_of(one) in {LIST, "map", "null_type"}:
            raise no_overload("sort", one, other)
        return int(one > other) - int(one < other)

    return sorted(items, key=cmp_to_key(order))


LISTS: dict[str, list[Overload]] = {
    ".slice": [Overload((LIST, INT, INT), LIST, _slice)],
    ".flatten": [Overload((LIST,), LIST, _flatten), Overload((LIST, INT), LIST, _flatten)],
    ".distinct": [Overload((LIST,), LIST, _distinct, safe=True)],
    ".sort": [Overload((LIST,), LIST, _sort)],
    "lists.range": [Overload((INT,), LIST, _range)],
    "_+_": [Overload((LIST, LIST), LIST, lambda a, b: a + b, safe=True)],
    "_[_]": [Overload((LIST, INT), DYN, _at)],
}
