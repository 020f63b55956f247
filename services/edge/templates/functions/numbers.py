"""Sprig's arithmetic: whole numbers unless the name says otherwise; 64 bits, as Go's."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from functools import reduce
from typing import Any

from services.edge.templates.syntax import TemplateError

MAX_SEQUENCE = 100_000


def whole(value: Any) -> int:
    """Return a value as an int64: texts are read, what is no number is 0 (Sprig)."""
    try:
        number = int(value, 0) if isinstance(value, str) else int(value or 0)
    except (ValueError, OverflowError, TypeError):
        try:
            number = int(float(value))
        except (ValueError, OverflowError, TypeError):
            return 0
    return (number + 2**63) % 2**64 - 2**63


def real(value: Any) -> float:
    """Return a value as a float64, 0 for what is none."""
    try:
        return float(value or 0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _folded(function: Callable[[int, int], int]) -> Callable[..., int]:
    return lambda *values: whole(reduce(function, map(whole, values)))


def _real(function: Callable[[float, float], float]) -> Callable[..., float]:
    return lambda *values: reduce(function, map(real, values))


def _quotient(one: int, other: int) -> int:
    if other == 0:
        raise TemplateError("divide by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _ratio(one: float, other: float) -> float:
    if other == 0:
        raise TemplateError("divide by zero")
    return one / other


def _round(value: Any, places: int = 0, half: float = 0.5) -> float:
    scale = 10.0**places
    scaled = real(value) * scale
    down = math.floor(scaled)
    return (down + (1 if scaled - down >= half else 0)) / scale


def _until(start: int, stop: int, step: int) -> list[int]:
    if step == 0 or (stop - start) * step < 0:
        return []
    numbers = range(start, stop, step)
    if len(numbers) > MAX_SEQUENCE:
        raise TemplateError(f"more than {MAX_SEQUENCE} numbers")
    return list(numbers)


def _sequence(*given: Any) -> str:
    numbers = [whole(value) for value in given]
    if len(numbers) == 1:
        start, step, end = 1, 1 if numbers[0] >= 1 else -1, numbers[0]
    elif len(numbers) == 2:
        (start, end), step = numbers, 1 if numbers[0] <= numbers[1] else -1
    else:
        start, step, end = numbers
    return " ".join(map(str, _until(start, end + (1 if step > 0 else -1), step)))


def _random(low: Any, high: Any) -> int:
    return whole(low) + secrets.randbelow(max(1, whole(high) - whole(low)))


NUMBERS: dict[str, Callable[..., Any]] = {
    "add": _folded(lambda a, b: a + b),
    "add1": lambda value: whole(value) + 1,
    "sub": _folded(lambda a, b: a - b),
    "mul": _folded(lambda a, b: a * b),
    "div": _folded(_quotient),
    "mod": _folded(lambda a, b: a - b * _quotient(a, b)),
    "max": _folded(max),
    "biggest": _folded(max),
    "min": _folded(min),
    "addf": _real(lambda a, b: a + b),
    "add1f": lambda value: real(value) + 1,
    "subf": _real(lambda a, b: a - b),
    "mulf": _real(lambda a, b: a * b),
    "divf": _real(_ratio),
    "maxf": _real(max),
    "minf": _real(min),
    "floor": lambda value: float(math.floor(real(value))),
    "ceil": lambda value: float(math.ceil(real(value))),
    "round": _round,
    "int": whole,
    "int64": whole,
    "float64": real,
    "atoi": whole,
    "toDecimal": lambda value: int(str(value), 8) if str(value).isdecimal() else 0,
    "until": lambda count: _until(0, whole(count), 1 if whole(count) >= 0 else -1),
    "untilStep": lambda start, stop, step: _until(whole(start), whole(stop), whole(step)),
    "seq": _sequence,
    "randInt": _random,
}
