"""HTTP dates (RFC 9110 §5.6.7): written in one form, read in three."""

from __future__ import annotations

import calendar
import time
from email.utils import parsedate_tz
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip

KEPT_DATES = 4096
"""Dates remembered in either direction: files of a site share few, and each costs 100 bytes."""

LONGEST_DATE = 40
"""Bytes of the longest form, with room to spare; what is longer is no date and is not parsed."""


@lru_cache(KEPT_DATES)
def format_date(seconds: int) -> bytes:
    """Return the IMF-fixdate of a Unix time; independent of the locale."""
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"
    ).encode()


@lru_cache(KEPT_DATES)
def parse_date(value: bytes) -> int | None:
    """Return the Unix time of any of the three forms; None for what is no HTTP date."""
    if len(value) > LONGEST_DATE or not value.isascii():
        return None
    text = value.decode()
    if "," not in text and not text[-4:].isdigit():
        return None  # neither IMF-fixdate, RFC 850 nor asctime (which ends in the year)
    try:
        parts = parsedate_tz(text)
        return None if parts is None else calendar.timegm((*parts[:6], 0, 0, 0)) - (parts[9] or 0)
    except (ValueError, IndexError, OverflowError):
        return None
