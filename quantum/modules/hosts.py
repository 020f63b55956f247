"""The names a configuration serves: what certificates are for, and for whom nobody else gets any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quantum.modules.config import RouteConfig


def to_ascii(name: str) -> str:
    """Return a host name in lower case, its labels in punycode where they are not ASCII.

    ValueError for what has no such form.
    """
    if name.isascii():
        return name.lower()
    try:
        return ".".join(
            label.lower() if label.isascii() else label.lower().encode("idna").decode()
            for label in name.split(".")
        )
    except UnicodeError as error:
        raise ValueError(f"host {name!r} cannot be written in ASCII: {error}") from None


def host_names(routes: Iterable[RouteConfig]) -> list[str]:
    """Return the names in host matchers of these routes, in order, each once, wildcards included.

    Only the given routes count, not routes inside subroutes, and only names that are written out: a
    placeholder is no name before there is a request. Source: Caddy's automatic HTTPS.
    """
    names: dict[str, None] = {}
    for route in routes:
        for matchers in route.match:
            for name in _listed(matchers.get("host")):
                if "{" not in name:
                    names[to_ascii(name)] = None
    return list(names)


def _listed(matcher: Any) -> list[str]:
    if matcher is None:
        return []
    names: list[str] = matcher.config.root
    return names
