"""Routes: what directives give, in which order they stand, and which become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.modules.matchers import MatcherSet
from quantum.caddyfile.values.encoding import compact, module
from quantum.caddyfile.values.sorting import stable_sort

DEFAULT_ORDER = (
    "tracing", "map", "vars", "fs", "root", "log_append", "skip_log", "log_skip", "log_name",
    "header", "copy_response_headers", "request_body", "timeouts",
    "redir", "method", "rewrite", "uri", "try_files",
    "rate_limit", "basicauth", "basic_auth", "forward_auth", "request_header", "encode", "push", "intercept",
    "templates", "invoke", "handle", "handle_path", "route", "abort", "error", "copy_response",
    "respond", "metrics", "reverse_proxy", "php_fastcgi", "file_sync", "file_server", "acme_server",
)  # fmt: skip
"""Caddy's order of directives (``order`` changes it), and where those of ours are: ``rate_limit``, ``file_sync``."""

EXCLUSIVE = ("handle", "rewrite", "root")
"""Of several of these only the first that matches is obeyed; in the order of group numbers."""


@dataclass(slots=True)
class Route:
    """Matchers and handlers. ``match`` is None where Go's is nil."""

    match: list[MatcherSet] | None = None
    handle: list[dict[str, Any]] = field(default_factory=list)
    group: str = ""
    terminal: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the object, in the order of Caddy's fields."""
        match = [dict(sorted(matchers.items())) for matchers in self.match or ()]
        return compact(group=self.group, match=match, handle=self.handle, terminal=self.terminal)


@dataclass(slots=True)
class Subroute:
    """Routes that stay together."""

    routes: list[Route] = field(default_factory=list)

    def handler(self) -> dict[str, Any]:
        """Return the ``subroute`` handler."""
        return module(compact(routes=[r.to_json() for r in self.routes]), "handler", "subroute")


@dataclass(slots=True)
class Value:
    """What a directive gives: a route, or a fact of class ``kind`` for the site."""

    kind: str
    value: Any
    directive: str = ""


class Groups:
    """Numbers the groups of routes."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return a new group's name."""
        name = f"group{self._count}"
        self._count += 1
        return name

    def join(self, values: Sequence[Value]) -> None:
        """Make one group of the routes among ``values``, if there are several."""
        routes = [value.value for value in values if isinstance(value.value, Route)]
        if len(routes) > 1:
            name = self.next()
            for route in routes:
                route.group = name


def build(values: list[Value], groups: Groups, order: Sequence[str] | None) -> Subroute:
    """Return the routes of ``values``, sorted by ``order`` (None keeps theirs)."""
    if order is not None:
        for value in values:
            if value.directive not in order:
                raise CaddyfileError(
                    f"directive '{value.directive}' is not an ordered HTTP handler, so it cannot "
                    "be used here - try placing within a route block or using the order global "
                    "option"
                )
        _sort(values, order)
    names: dict[str, str] = {}
    for directive in EXCLUSIVE:
        count = sum(value.directive == directive for value in values)
        # A rewrite has a group of its own even when alone, so that it is not merged with others.
        names[directive] = groups.next() if count > 1 or directive == "rewrite" else ""
    made = Subroute()
    for value in values:
        found = value.value
        if isinstance(found, Subroute):
            made.routes += found.routes
        elif isinstance(found, Route):
            if value.directive in names:
                found = Route(found.match, found.handle, names[value.directive], found.terminal)
            made.routes.append(found)
    made.routes = consolidate(made.routes)
    return made


def consolidate(routes: list[Route]) -> list[Route]:
    """Return the routes with neighbours merged that differ in nothing but their handlers."""
    made: list[Route] = []
    for route in routes:
        last = made[-1] if made else None
        if last and (last.match, last.terminal, last.group) == (
            route.match,
            route.terminal,
            route.group,
        ):
            made[-1] = Route(last.match, [*last.handle, *route.handle], last.group, last.terminal)
        else:
            made.append(route)
    return made


def _sort(values: list[Value], order: Sequence[str]) -> None:
    positions = {directive: index for index, directive in enumerate(order)}

    def less(a: Value, b: Value) -> bool:
        if a.directive != b.directive:
            return positions[a.directive] < positions[b.directive]
        if not isinstance(a.value, Route) or not isinstance(b.value, Route):
            return False
        first = _is_more_specific(a.value, b.value)
        # Of several "vars" the last one stays, so the most specific comes last.
        return not first if a.directive == "vars" else first

    stable_sort(values, less)


def _is_more_specific(a: Route, b: Route) -> bool:
    left, right = _only_path(a), _only_path(b)
    if left and right:
        left_bare, right_bare = left.removesuffix("*"), right.removesuffix("*")
        if left_bare == right_bare:
            return len(left.encode()) < len(right.encode())
        left_size, right_size = len(left_bare.encode()), len(right_bare.encode())
        return left_bare < right_bare if left_size == right_size else left_size > right_size
    return bool(a.match) and not b.match


def _only_path(route: Route) -> str:
    """Return the path of a route whose matcher set has exactly one."""
    if route.match is not None and len(route.match) == 1:
        paths = route.match[0].get("path", ())
        if len(paths) == 1:
            return str(paths[0])
    return ""
