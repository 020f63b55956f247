"""Fields with ``_`` or ``.`` in their names, where a server expects them (Caddy's allow lists).

Applications that take fields from environment variables (CGI, WSGI, FastCGI) know ``X-User``, ``X_User``
and ``X.User`` by one name. That is why such fields end at the edge, and why the twin with hyphens of one
that is expected ends there, too: only one of them can be meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from quantum.http.headers import Field
from quantum.http.message import Request

_log = structlog.get_logger("quantum.edge")


def expecting(underscores: Sequence[str], dots: Sequence[str]) -> Callable[[Request], None] | None:
    """Return what lets the listed fields of a request in; None when nothing is expected."""
    if not underscores and not dots:
        return None
    with_underscore, with_dot = _Names(underscores), _Names(dots)
    twins = _Names([_hyphenated(name) for name in (*underscores, *dots)])

    def take_in(request: Request) -> None:
        headers = request.headers
        if any(name in twins for name, _ in headers.fields):
            headers.fields = [field for field in headers.fields if field[0] not in twins]
        for field in _alone(request.odd or ()):
            name = field[0]
            if (b"_" not in name or name in with_underscore) and (
                b"." not in name or name in with_dot
            ):
                headers.fields.append(field)

    return take_in


class _Names:
    """Names of fields, some of which are told by how they begin."""

    def __init__(self, names: Sequence[str]) -> None:
        lower = [name.lower().encode("ascii") for name in names]
        self._whole = frozenset(name for name in lower if name[-1:] != b"*")
        self._starts = tuple(name[:-1] for name in lower if name[-1:] == b"*")

    def __contains__(self, name: bytes) -> bool:
        return name in self._whole or name.startswith(self._starts)


def _hyphenated(name: str) -> str:
    return name.replace("_", "-").replace(".", "-")


def _alone(fields: Sequence[Field]) -> list[Field]:
    """Return those whose name came once: who adds a second one wants to be taken for the first."""
    names = [name for name, _ in fields]
    for name in {name for name in names if names.count(name) > 1}:
        _log.debug("repeated_field_dropped", name=name.decode("latin-1"))
    return [field for field in fields if names.count(field[0]) == 1]
