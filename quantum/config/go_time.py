"""Go's layouts of time: the reference moment (Mon Jan 2 15:04:05 MST 2006) written as wanted.

Source: Go's package time, "Constants". Fractions of a second follow the seconds as ``.000`` or ``.999``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|Z07:00|Z0700|-07:00|-0700|-07|__2|002|01|02|03|04|05|06|15|_2|PM|pm"
    r"|(?<=5)[.,](?:0+|9+)|1|2|3|4|5"
)


def _offset(moment: datetime, *, colon: bool) -> str:
    offset = moment.utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign, minutes = ("-" if minutes < 0 else "+"), abs(minutes)
    return f"{sign}{minutes // 60:02d}{':' if colon else ''}{minutes % 60:02d}"


def _zulu(moment: datetime, *, colon: bool) -> str:
    return "Z" if not moment.utcoffset() else _offset(moment, colon=colon)


_PARTS: dict[str, Callable[[datetime], str]] = {
    "2006": lambda t: f"{t.year:04d}",
    "06": lambda t: f"{t.year % 100:02d}",
    "01": lambda t: f"{t.month:02d}",
    "1": lambda t: str(t.month),
    "Jan": lambda t: t.strftime("%b"),
    "January": lambda t: t.strftime("%B"),
    "02": lambda t: f"{t.day:02d}",
    "_2": lambda t: f"{t.day:2d}",
    "2": lambda t: str(t.day),
    "002": lambda t: f"{t.timetuple().tm_yday:03d}",
    "__2": lambda t: f"{t.timetuple().tm_yday:3d}",
    "Mon": lambda t: t.strftime("%a"),
    "Monday": lambda t: t.strftime("%A"),
    "15": lambda t: f"{t.hour:02d}",
    "03": lambda t: f"{t.hour % 12 or 12:02d}",
    "3": lambda t: str(t.hour % 12 or 12),
    "04": lambda t: f"{t.minute:02d}",
    "4": lambda t: str(t.minute),
    "05": lambda t: f"{t.second:02d}",
    "5": lambda t: str(t.second),
    "PM": lambda t: "PM" if t.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.hour >= 12 else "am",
    "MST": lambda t: t.tzname() or "UTC",
    "Z07:00": lambda t: _zulu(t, colon=True),
    "Z0700": lambda t: _zulu(t, colon=False),
    "-07:00": lambda t: _offset(t, colon=True),
    "-0700": lambda t: _offset(t, colon=False),
    "-07": lambda t: _offset(t, colon=False)[:3],
}


def format_time(moment: datetime, layout: str) -> str:
    """Return ``moment``, which knows its zone, in Go's ``layout``; digits beyond microseconds are zeros."""

    def part(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] not in ".,":
            return _PARTS[text](moment)
        digits = f"{moment.microsecond * 1000:09d}"[: len(text) - 1]
        if text[1] == "9":
            digits = digits.rstrip("0")
        return text[0] + digits if digits else ""

    return _LAYOUT.sub(part, layout)
