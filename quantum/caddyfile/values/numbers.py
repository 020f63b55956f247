"""Numbers, durations, sizes and quoting in Go's forms, with Go's words for what is none."""

from __future__ import annotations

import json
import re

from quantum.caddyfile.errors import CaddyfileError

UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
PART = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)")
MAX_DURATION = 2**63 - 1
HOUR = 3600 * 10**9

SIZES = {
    unit: power
    for scale, base in (("", 1000), ("i", 1024))
    for index, letter in enumerate("kmgtpe", 1)
    for unit, power in ((letter + scale, base**index), (letter + scale + "b", base**index))
} | {"b": 1, "": 1}


def quoted(text: str) -> str:
    """Return ``text`` as Go's ``%q`` shows it."""
    return json.dumps(text, ensure_ascii=False)


def parse_int(text: str) -> int:
    """Return the integer; ``strconv.Atoi``."""
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise CaddyfileError(f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise CaddyfileError(f"strconv.Atoi: parsing {quoted(text)}: value out of range")
    return value


def parse_float(text: str) -> float | int:
    """Return the number; whole ones as integers, the way they are printed."""
    try:
        value = float(text)
    except ValueError:
        raise CaddyfileError(
            f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax"
        ) from None
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def parse_bool(text: str) -> bool:
    """Return the truth value; ``strconv.ParseBool``."""
    if text in {"1", "t", "T", "TRUE", "true", "True"}:
        return True
    if text in {"0", "f", "F", "FALSE", "false", "False"}:
        return False
    raise CaddyfileError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


def parse_duration(text: str) -> int:
    """Return a duration in nanoseconds; days ("d") are allowed."""
    if text == "0":
        return 0
    return parse_plain_duration(_without_days(text))


def _without_days(text: str) -> str:
    """Return ``text`` with its days written as hours."""

    def to_hours(found: re.Match[str]) -> str:
        try:
            days = float(found[1])
        except ValueError:
            raise CaddyfileError(
                f"strconv.ParseFloat: parsing {quoted(found[1])}: invalid syntax"
            ) from None
        return f"{days * 24:f}h"

    return re.sub(r"([\d.]+)d", to_hours, text)


def parse_plain_duration(text: str) -> int:
    """Return a duration in nanoseconds; ``time.ParseDuration``."""
    rest, sign = text, 1
    if rest[:1] in {"-", "+"}:
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise CaddyfileError(f"time: invalid duration {quoted(text)}")
    while rest:
        found = PART.match(rest)
        assert found is not None  # it matches nothing as well
        whole, fraction, unit = found[1], found[2] or "", found[3]
        if not whole and not fraction:
            raise CaddyfileError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise CaddyfileError(f"time: missing unit in duration {quoted(text)}")
        if unit not in UNITS:
            raise CaddyfileError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        total += int(whole or "0") * UNITS[unit]
        if fraction:
            total += int(fraction) * UNITS[unit] // 10 ** len(fraction)
        if total > MAX_DURATION:
            raise CaddyfileError(f"time: invalid duration {quoted(text)}")
        rest = rest[found.end() :]
    return sign * total


def parse_size(text: str) -> int:
    """Return a number of bytes ("10MB", "4KiB"), as humanize reads it."""
    digits = re.match(r"[0-9.,]*", text)
    assert digits is not None  # it matches nothing as well
    number = digits[0].replace(",", "")
    try:
        value = float(number)
    except ValueError:
        raise CaddyfileError(
            f"strconv.ParseFloat: parsing {quoted(number)}: invalid syntax"
        ) from None
    unit = text[digits.end() :].strip().lower()
    if unit not in SIZES:
        raise CaddyfileError(f"unhandled size name: {unit}")
    value *= SIZES[unit]
    if value >= 2**64:
        raise CaddyfileError(f"too large: {text}")
    return int(value)
