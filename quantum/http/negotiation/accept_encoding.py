"""Which content codings a client takes, best first (RFC 9110 §12.5.3), as Caddy reads the field.

A ``*`` names no coding here: who does not say which one it takes gets none. ``encode`` at the edge and
``precompressed`` of the file server choose by this.
"""

from __future__ import annotations

from functools import lru_cache

KNOWN_FIELDS = 1024
"""Fields whose reading is remembered: browsers and libraries send a dozen different ones."""
KNOWN_BYTES = 256
"""What is longer is read each time: a table of such would be a client's memory in us."""
MOST_CODINGS = 32
"""Codings that are looked at; a dozen are registered."""
SMALLEST_WEIGHT = 0.00001
"""A weight below it is 0, "not acceptable"; weights have three digits."""


def accepted_encodings(field: bytes, order: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the codings of an Accept-Encoding ``field``, lower case, best first.

    Of those with one weight, what stands earlier in ``order`` comes first, then what ``order`` does not
    have, as the client listed it. A weight of 0 drops a coding; one that is no number counts as 1.
    """
    return _remembered(field, order) if len(field) <= KNOWN_BYTES else _read(field, order)


def _read(field: bytes, order: tuple[str, ...]) -> tuple[str, ...]:
    found: list[tuple[float, int, str]] = []
    for member in field.decode("latin-1").lower().split(",", MOST_CODINGS)[:MOST_CODINGS]:
        name, *parameters = (part.strip() for part in member.split(";"))
        weight = _weight(parameters[0]) if parameters else 1.0
        if not name or weight < SMALLEST_WEIGHT:
            continue
        rank = order.index(name) if name in order else len(order)
        found.append((-weight, rank, name))
    found.sort(key=lambda entry: entry[:2])  # stable: the client's order decides the rest
    return tuple(name for _, _, name in found)


_remembered = lru_cache(KNOWN_FIELDS)(_read)


def _weight(parameter: str) -> float:
    if not parameter.startswith("q="):
        return 1.0
    try:
        weight = float(parameter[2:])
    except ValueError:
        return 1.0
    return round(weight, 5) if 0 <= weight <= 1 else 1.0
