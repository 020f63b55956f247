"""From one type to another: ``int()``, ``string()`` and the like."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from services.edge.expression.code import Overload
from services.edge.expression.functions.numbers import checked, checked_uint
from services.edge.expression.functions.strings import shown
from services.edge.expression.values import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    EvaluationError,
    Type,
    Uint,
    type_of,
)

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_BOOLS = {
    "true": True, "True": True, "TRUE": True, "t": True, "1": True,
    "false": False, "False": False, "FALSE": False, "f": False, "0": False,
}  # fmt: skip


def _int_of_text(text: str) -> int:
    if len(text) > 20 or _WHOLE.fullmatch(text) is None:
        raise EvaluationError(f"{text[:20]!r} is no int")
    return checked(int(text))


def _int_of_double(number: float) -> int:
    try:
        return checked(int(number))
    except (ValueError, OverflowError):
        raise EvaluationError("integer overflow") from None


def _uint_of_double(number: float) -> Uint:
    return checked_uint(_int_of_double(number)) if number < 2**63 else checked_uint(int(number))


def _uint_of_text(text: str) -> Uint:
    if len(text) > 20 or not text.isascii() or not text.isdecimal():
        raise EvaluationError(f"{text[:20]!r} is no uint")
    return checked_uint(int(text))


def _double_of_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise EvaluationError(f"{text[:20]!r} is no double") from None


def _bool_of_text(text: str) -> bool:
    value = _BOOLS.get(text)
    if value is None:
        raise EvaluationError(f"{text[:20]!r} is no bool")
    return value


def _text_of_bytes(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EvaluationError("bytes that are no UTF-8") from None


def _text_of_time(moment: datetime) -> str:
    text = moment.isoformat().replace("+00:00", "Z")
    whole, dot, rest = text.partition(".")
    return f"{whole}.{rest[:-1].rstrip('0')}Z" if dot and rest.endswith("Z") else text


def _text_of_duration(span: timedelta) -> str:
    seconds = f"{span.total_seconds():.6f}".rstrip("0").rstrip(".")
    return f"{seconds}s"


def _same(value: Any) -> Any:
    return value


CONVERSIONS: dict[str, list[Overload]] = {
    "int": [
        Overload((INT,), INT, _same, safe=True),
        Overload((UINT,), INT, lambda number: checked(int(number))),
        Overload((DOUBLE,), INT, _int_of_double),
        Overload((STRING,), INT, _int_of_text),
        Overload((TIMESTAMP,), INT, lambda moment: int(moment.timestamp() // 1), safe=True),
    ],
    "uint": [
        Overload((UINT,), UINT, _same, safe=True),
        Overload((INT,), UINT, checked_uint),
        Overload((DOUBLE,), UINT, _uint_of_double),
        Overload((STRING,), UINT, _uint_of_text),
    ],
    "double": [
        Overload((DOUBLE,), DOUBLE, _same, safe=True),
        Overload((INT,), DOUBLE, float, safe=True),
        Overload((UINT,), DOUBLE, float, safe=True),
        Overload((STRING,), DOUBLE, _double_of_text),
    ],
    "bool": [
        Overload((BOOL,), BOOL, _same, safe=True),
        Overload((STRING,), BOOL, _bool_of_text),
    ],
    "string": [
        Overload((STRING,), STRING, _same, safe=True),
        Overload((BYTES,), STRING, _text_of_bytes),
        Overload((TIMESTAMP,), STRING, _text_of_time, safe=True),
        Overload((DURATION,), STRING, _text_of_duration, safe=True),
        *(Overload((kind,), STRING, shown, safe=True) for kind in (BOOL, INT, UINT, DOUBLE)),
    ],
    "bytes": [
        Overload((BYTES,), BYTES, _same, safe=True),
        Overload((STRING,), BYTES, lambda text: text.encode("utf-8", "surrogateescape"), safe=True),
    ],
    "type": [Overload((DYN,), TYPE, lambda value: Type(type_of(value)), safe=True)],
}
