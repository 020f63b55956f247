"""Moments and durations, to the microsecond."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from quantum.config.units import parse_duration
from services.edge.expression.code import Overload
from services.edge.expression.values import DURATION, INT, STRING, TIMESTAMP, EvaluationError


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise EvaluationError(f"{text[:40]!r} is no RFC 3339 time") from None
    if found.tzinfo is None:
        raise EvaluationError(f"{text[:40]!r} has no zone")
    return found.astimezone(UTC)


def _span(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _of_seconds(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise EvaluationError("the time is out of range") from None


def _bounded(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def bounded(left: Any, right: Any) -> Any:
        try:
            return function(left, right)
        except OverflowError:
            raise EvaluationError("the time is out of range") from None

    return bounded


def _zone(name: str) -> tzinfo:
    sign = -1 if name.startswith("-") else 1
    hours, colon, minutes = name.lstrip("+-").partition(":")
    try:
        if colon:
            return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise EvaluationError(f"unknown time zone {name[:40]!r}") from None


def _part(read: Callable[[datetime], int]) -> list[Overload]:
    return [
        Overload((TIMESTAMP,), INT, read, safe=True),
        Overload(
            (TIMESTAMP, STRING), INT, lambda moment, zone: read(moment.astimezone(_zone(zone)))
        ),
    ]


def _either(read: Callable[[datetime], int], of_span: Callable[[timedelta], int]) -> list[Overload]:
    return [*_part(read), Overload((DURATION,), INT, of_span, safe=True)]


def _whole(unit: timedelta) -> Callable[[timedelta], int]:
    return lambda span: int(span / unit)


_add, _subtract = _bounded(lambda a, b: a + b), _bounded(lambda a, b: a - b)

TIMES: dict[str, list[Overload]] = {
    "timestamp": [
        Overload((TIMESTAMP,), TIMESTAMP, lambda moment: moment, safe=True),
        Overload((STRING,), TIMESTAMP, _moment),
        Overload((INT,), TIMESTAMP, _of_seconds),
    ],
    "duration": [
        Overload((DURATION,), DURATION, lambda span: span, safe=True),
        Overload((STRING,), DURATION, _span),
    ],
    "_+_": [
        Overload((TIMESTAMP, DURATION), TIMESTAMP, _add),
        Overload((DURATION, TIMESTAMP), TIMESTAMP, _add),
        Overload((DURATION, DURATION), DURATION, _add),
    ],
    "_-_": [
        Overload((TIMESTAMP, DURATION), TIMESTAMP, _subtract),
        Overload((TIMESTAMP, TIMESTAMP), DURATION, _subtract),
        Overload((DURATION, DURATION), DURATION, _subtract),
    ],
    ".getFullYear": _part(lambda moment: moment.year),
    ".getMonth": _part(lambda moment: moment.month - 1),
    ".getDate": _part(lambda moment: moment.day),
    ".getDayOfMonth": _part(lambda moment: moment.day - 1),
    ".getDayOfWeek": _part(lambda moment: moment.isoweekday() % 7),
    ".getDayOfYear": _part(lambda moment: moment.timetuple().tm_yday - 1),
    ".getHours": _either(lambda moment: moment.hour, _whole(timedelta(hours=1))),
    ".getMinutes": _either(lambda moment: moment.minute, _whole(timedelta(minutes=1))),
    ".getSeconds": _either(lambda moment: moment.second, _whole(timedelta(seconds=1))),
    ".getMilliseconds": _either(
        lambda moment: moment.microsecond // 1000, _whole(timedelta(milliseconds=1))
    ),
}
