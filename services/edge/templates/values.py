"""How Go treats values in templates: what is empty, equal, printed; fields of what is handed in.

Go's values are Python's: int, float, str, bool, list, dict, None for nil; times are ``datetime``. What a
template may touch of anything else is what a ``Struct`` names: there is no way to other attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from quantum.config.go_time import format_time
from quantum.http.placeholders.request import go_duration
from services.edge.templates.syntax import TemplateError

NO_VALUE = "<no value>"


class Struct:
    """A value with fields and methods: only those in ``members``. A method is a callable."""

    __slots__ = ("members", "text")

    def __init__(self, members: Mapping[str, Any], text: Callable[[], str] | None = None) -> None:
        self.members = members
        self.text = text


class Map(dict[str, Any]):
    """A map with methods: Go's ``http.Header``, ``url.Values``."""

    __slots__ = ("members",)

    def __init__(self, items: Mapping[str, Any], members: Mapping[str, Any]) -> None:
        super().__init__(items)
        self.members = members


def field_of(value: Any, name: str, line: int) -> Any:
    """Return a field, a method, or the value of a key; None for a key that is not there."""
    if isinstance(value, Struct):
        if name not in value.members:
            raise TemplateError(f"can't evaluate field {name}", line)
        return value.members[name]
    if isinstance(value, Map) and name in value.members:
        return value.members[name]
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, datetime):
        method = _TIME.get(name)
        if method is not None:
            return lambda *arguments: method(value, *arguments)
    if isinstance(value, timedelta) and name in _SPAN:
        return _SPAN[name](value)
    if value is None:
        raise TemplateError(f"nil has no field {name}", line)
    raise TemplateError(f"can't evaluate field {name} of a {kind_of(value)}", line)


def is_true(value: Any) -> bool:
    """Whether Go's templates take a value as true: anything but zero, nil and the empty."""
    return True if isinstance(value, Struct | datetime | timedelta) else bool(value)


def kind_of(value: Any) -> str:
    """Return Go's kind of a value."""
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "bool"), (int, "int"), (float, "float64"), (str, "string"), (list, "slice"), (dict, "map"),
    )  # fmt: skip
    if value is None:
        return "invalid"
    return next((name for kind, name in kinds if isinstance(value, kind)), "struct")


def shown(value: Any, *, inside: bool = False) -> str:
    """Return a value as Go prints it (``%v``)."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>" if inside else NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list):
        return "[" + " ".join(shown(item, inside=True) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{shown(k)}:{shown(v, inside=True)}" for k, v in sorted_items(value))
        return "map[" + " ".join(pairs) + "]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".") + value.strftime(" %z %Z")  # fmt: skip
    if isinstance(value, timedelta):
        return go_duration(value.total_seconds())
    if isinstance(value, Struct):
        return value.text() if value.text is not None else "{}"
    return str(value)


def _float(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" in text or abs(value) >= 1e21 or 0 < abs(value) < 1e-4:
        digits, _, exponent = f"{value:e}".partition("e")
        digits = repr(value).partition("e")[0] if "e" in repr(value) else digits.rstrip("0").rstrip(".")  # fmt: skip
        return f"{digits}e{exponent[0]}{int(exponent[1:]):02d}"
    return text


def sorted_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the entries of a map in the order of its keys, which is how Go walks it."""
    return sorted(value.items(), key=lambda item: (str(type(item[0])), item[0]))


def equal(one: Any, other: Any) -> bool:
    """Compare two values as ``eq`` does."""
    if one is None or other is None:
        return one is other
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        if isinstance(one, bool) is not isinstance(other, bool):
            raise TemplateError("incompatible types for comparison")
        return one == other
    if type(one) is not type(other):
        raise TemplateError("incompatible types for comparison")
    return bool(one == other)


def less(one: Any, other: Any) -> bool:
    """Order two values as ``lt`` does."""
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (one, other))
    if not is_number and not (isinstance(one, str) and isinstance(other, str)):
        raise TemplateError("incompatible types for comparison")
    return bool(one < other)


_TIME: dict[str, Callable[..., Any]] = {
    "Format": format_time,
    "Year": lambda t: t.year,
    "Month": lambda t: t.strftime("%B"),
    "Day": lambda t: t.day,
    "Hour": lambda t: t.hour,
    "Minute": lambda t: t.minute,
    "Second": lambda t: t.second,
    "Weekday": lambda t: t.strftime("%A"),
    "YearDay": lambda t: t.timetuple().tm_yday,
    "Unix": lambda t: int(t.timestamp()),
    "UnixMilli": lambda t: int(t.timestamp() * 1000),
    "UTC": lambda t: t.astimezone(UTC),
    "String": shown,
}
_SPAN: dict[str, Callable[[timedelta], Any]] = {
    "Hours": lambda span: span.total_seconds() / 3600,
    "Minutes": lambda span: span.total_seconds() / 60,
    "Seconds": lambda span: span.total_seconds(),
    "String": shown,
}
