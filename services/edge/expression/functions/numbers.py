"""Arithmetic with CEL's bounds, and the library ``math``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from services.edge.expression.code import Overload
from services.edge.expression.values import (
    BOOL,
    DOUBLE,
    INT,
    LIST,
    UINT,
    EvaluationError,
    Uint,
    int64,
    uint64,
)

MAX_SHIFT = 64


def checked(value: int) -> int:
    """Return an int if it has 64 bits at most."""
    if value not in int64:
        raise EvaluationError("integer overflow")
    return value


def checked_uint(value: int) -> Uint:
    """Return a uint if it is one."""
    if value not in uint64:
        raise EvaluationError("unsigned integer overflow")
    return Uint(value)


def _quotient(left: int, right: int) -> int:
    """Divide towards zero, as Go does."""
    if right == 0:
        raise EvaluationError("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("modulus by zero")
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def _divided(left: float, right: float) -> float:
    if right == 0:
        negative = math.copysign(1.0, left) * math.copysign(1.0, right) < 0
        return math.nan if left == 0 or math.isnan(left) else -math.inf if negative else math.inf
    return left / right


def _arithmetic(whole: Callable[[int, int], int], real: Callable[[float, float], float] | None) -> list[Overload]:  # fmt: skip
    found = [
        Overload((INT, INT), INT, lambda a, b: checked(whole(a, b))),
        Overload((UINT, UINT), UINT, lambda a, b: checked_uint(whole(int(a), int(b)))),
    ]
    if real is not None:
        found.append(Overload((DOUBLE, DOUBLE), DOUBLE, real, safe=True))
    return found


def _extreme(choose: Callable[..., Any]) -> list[Overload]:
    """``math.greatest`` and ``math.least``, of up to five numbers or of a list."""
    same = [
        Overload((kind,) * count, kind, choose if count > 1 else lambda value: value, safe=True)
        for kind in (INT, UINT, DOUBLE)
        for count in range(1, 6)
    ]

    def of_list(values: list[Any]) -> Any:
        if not values or any(v.__class__ not in {int, float, Uint} for v in values):
            raise EvaluationError("math.greatest and math.least take numbers")
        return choose(values)

    mixed = Overload(("dyn", "dyn"), "dyn", lambda a, b: of_list([a, b]))
    return [*same, Overload((LIST,), "dyn", of_list), mixed]


def _rounded(value: float) -> float:
    """Round half away from zero, as Go does."""
    return math.copysign(math.floor(abs(value) + 0.5), value) if math.isfinite(value) else value


def _whole(function: Callable[[float], float]) -> list[Overload]:
    def safely(value: float) -> float:
        return float(function(value)) if math.isfinite(value) else value

    return [Overload((DOUBLE,), DOUBLE, safely, safe=True)]


def _sign(value: float) -> Any:
    return type(value)((value > 0) - (value < 0))


def _bits(function: Callable[[int, int], int]) -> list[Overload]:
    return [
        Overload((INT, INT), INT, function, safe=True),
        Overload((UINT, UINT), UINT, lambda a, b: Uint(function(int(a), int(b))), safe=True),
    ]


def _shift(function: Callable[[int, int], int]) -> list[Overload]:
    def shifted(value: int, by: int) -> int:
        if by < 0:
            raise EvaluationError("a shift cannot be negative")
        return function(value & (2**64 - 1), by) & (2**64 - 1) if by < MAX_SHIFT else 0

    def signed(value: int, by: int) -> int:
        bits = shifted(value, by)
        return bits - 2**64 if bits >= 2**63 else bits

    return [
        Overload((INT, INT), INT, signed),
        Overload((UINT, INT), UINT, lambda a, b: Uint(shifted(int(a), b))),
    ]


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


NUMBERS: dict[str, list[Overload]] = {
    "_+_": _arithmetic(lambda a, b: a + b, lambda a, b: a + b),
    "_-_": _arithmetic(lambda a, b: a - b, lambda a, b: a - b),
    "_*_": _arithmetic(lambda a, b: a * b, lambda a, b: a * b),
    "_/_": _arithmetic(_quotient, _divided),
    "_%_": _arithmetic(_remainder, None),
    "-_": [
        Overload((INT,), INT, lambda a: checked(-a)),
        Overload((DOUBLE,), DOUBLE, lambda a: -a, safe=True),
    ],
    "math.greatest": _extreme(max),
    "math.least": _extreme(min),
    "math.ceil": _whole(math.ceil),
    "math.floor": _whole(math.floor),
    "math.round": _whole(_rounded),
    "math.trunc": _whole(math.trunc),
    "math.abs": [
        Overload((INT,), INT, lambda a: checked(abs(a))),
        Overload((UINT,), UINT, lambda a: a, safe=True),
        Overload((DOUBLE,), DOUBLE, abs, safe=True),
    ],
    "math.sign": [Overload((kind,), kind, _sign, safe=True) for kind in (INT, UINT, DOUBLE)],
    "math.sqrt": [Overload((kind,), DOUBLE, _root, safe=True) for kind in (INT, UINT, DOUBLE)],
    "math.isNaN": [Overload((DOUBLE,), BOOL, math.isnan, safe=True)],
    "math.isInf": [Overload((DOUBLE,), BOOL, math.isinf, safe=True)],
    "math.isFinite": [Overload((DOUBLE,), BOOL, math.isfinite, safe=True)],
    "math.bitAnd": _bits(lambda a, b: a & b),
    "math.bitOr": _bits(lambda a, b: a | b),
    "math.bitXor": _bits(lambda a, b: a ^ b),
    "math.bitNot": [
        Overload((INT,), INT, lambda a: ~a, safe=True),
        Overload((UINT,), UINT, lambda a: Uint(2**64 - 1 - a), safe=True),
    ],
    "math.bitShiftLeft": _shift(lambda a, b: a << b),
    "math.bitShiftRight": _shift(lambda a, b: a >> b),
}
