"""All functions by name, as overloads by type: the standard's here, the libraries' from beside.

A method's name starts with a dot, and its first argument is what it is called on. Source: cel-spec, "Standard
Definitions"; cel-go's ``ext`` for strings, lists and math.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from services.edge.expression.code import Overload
from services.edge.expression.functions.conversions import CONVERSIONS
from services.edge.expression.functions.lists import LISTS
from services.edge.expression.functions.numbers import NUMBERS
from services.edge.expression.functions.strings import STRINGS
from services.edge.expression.functions.times import TIMES
from services.edge.expression.values import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    MAP,
    STRING,
    TIMESTAMP,
    UINT,
    EvaluationError,
)

_SIZED = (STRING, BYTES, LIST, MAP)
_NUMERIC = (INT, UINT, DOUBLE)
_ORDERED = (BOOL, STRING, BYTES, TIMESTAMP, DURATION)


def _ordering(compare: Callable[[Any, Any], bool]) -> list[Overload]:
    """Numbers are compared across their types, everything else within one."""
    pairs = [(one, other) for one in _NUMERIC for other in _NUMERIC]
    pairs += [(kind, kind) for kind in _ORDERED]
    return [Overload(pair, BOOL, compare, safe=True) for pair in pairs]


def _at_key(entries: dict[Any, Any], key: Any) -> Any:
    try:
        return entries[key]
    except (KeyError, TypeError):
        raise EvaluationError(f"no such key: {key}") from None


_STANDARD: dict[str, list[Overload]] = {
    "size": [Overload((kind,), INT, len, safe=True) for kind in _SIZED],
    ".size": [Overload((kind,), INT, len, safe=True) for kind in _SIZED],
    "_<_": _ordering(operator.lt),
    "_<=_": _ordering(operator.le),
    "_>_": _ordering(operator.gt),
    "_>=_": _ordering(operator.ge),
    "_[_]": [Overload((MAP, DYN), DYN, _at_key)],
}


def _merged(tables: Iterable[Mapping[str, list[Overload]]]) -> dict[str, list[Overload]]:
    merged: defaultdict[str, list[Overload]] = defaultdict(list)
    for table in tables:
        for name, overloads in table.items():
            merged[name] += overloads
    return dict(merged)


FUNCTIONS = _merged((_STANDARD, CONVERSIONS, STRINGS, LISTS, NUMBERS, TIMES))
"""Every function but macros and what the surroundings have."""
