"""Matchers: questions about a request, compiled to closures."""

from __future__ import annotations

from collections.abc import Callable

from quantum.http.message import Request

Matcher = Callable[[Request], bool]
"""Pure and synchronous; MUST NOT change the request (regular-expression captures in vars excepted)."""


def all_of(matchers: list[Matcher]) -> Matcher:
    """AND, in order; an empty set matches."""
    if len(matchers) == 1:
        return matchers[0]
    if len(matchers) == 2:
        first, second = matchers
        return lambda request: first(request) and second(request)
    return lambda request: all(matches(request) for matches in matchers)


def any_of(matchers: list[Matcher]) -> Matcher | None:
    """OR, in order; no set at all matches everything, which None says (callers then skip the call)."""
    if not matchers:
        return None
    if len(matchers) == 1:
        return matchers[0]
    return lambda request: any(matches(request) for matches in matchers)
