"""Sprig's dates: moments know their zone, which is UTC unless a template says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from quantum.clock import SystemClock
from quantum.config.go_time import format_time
from quantum.config.units import parse_duration
from quantum.http.placeholders.request import go_duration
from services.edge.templates.functions.numbers import whole
from services.edge.templates.syntax import TemplateError

_LAYOUTS = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%d %b %Y", "%H:%M:%S")
_clock = SystemClock()


def now() -> datetime:
    """Return this moment, in UTC."""
    return _clock.now().astimezone(UTC)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    return now()


def _zone(name: str) -> tzinfo:
    try:
        return now().astimezone().tzinfo or UTC if name == "Local" else ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return UTC


def _modified(text: str, moment: datetime) -> datetime:
    try:
        return moment + timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise TemplateError(str(error)) from None


def _rounded(value: Any) -> str:
    seconds = abs(value.total_seconds()) if isinstance(value, timedelta) else (now() - _moment(value)).total_seconds()  # fmt: skip
    units = (("y", 31_536_000), ("mo", 2_592_000), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
    return next((f"{int(seconds // size)}{unit}" for unit, size in units if seconds >= size), "0s")


def _parsed(layout: str, text: str) -> datetime:
    for known in _LAYOUTS:
        try:
            found = datetime.strptime(text, known)  # noqa: DTZ007 - UTC below where there is no zone
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime(1, 1, 1, tzinfo=UTC)


DATES: dict[str, Callable[..., Any]] = {
    "now": now,
    "date": lambda layout, moment: format_time(_moment(moment), layout),
    "dateInZone": lambda layout, moment, zone: format_time(_moment(moment).astimezone(_zone(zone)), layout),
    "date_in_zone": lambda layout, moment, zone: format_time(_moment(moment).astimezone(_zone(zone)), layout),
    "htmlDate": lambda moment: format_time(_moment(moment), "2006-01-02"),
    "htmlDateInZone": lambda moment, zone: format_time(_moment(moment).astimezone(_zone(zone)), "2006-01-02"),
    "dateModify": _modified,
    "date_modify": _modified,
    "toDate": _parsed,
    "unixEpoch": lambda moment: str(int(_moment(moment).timestamp())),
    "ago": lambda moment: go_duration(float(int((now() - _moment(moment)).total_seconds()))),
    "duration": lambda seconds: go_duration(float(whole(seconds))),
    "durationRound": _rounded,
}  # fmt: skip
