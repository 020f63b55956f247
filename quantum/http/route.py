"""From routes in a configuration to one callable: compiled once, never interpreted per request.

Each route becomes a plain function that tests its matchers and calls the next link, so a request
passes only through coroutines of handlers that wait for something. Matchers run when their route is
reached: they see what earlier routes rewrote (Caddy's order).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from quantum.errors import HttpError
from quantum.http.handler import Handler, Middleware, Next
from quantum.http.matcher import Matcher, all_of, any_of
from quantum.http.message import Request, Response
from quantum.modules.config import ModuleConfig, RouteConfig

MakeHandler = Callable[[ModuleConfig], Handler | Middleware]
MakeMatcher = Callable[[ModuleConfig], Matcher]


async def end_of_chain(request: Request) -> Response:
    """Answer what no handler answered: 200 with no body, as Caddy does."""
    return Response(200)


class RouteCompiler:
    """Compiles route lists; ``make_handler`` decides where a terminal handler runs."""

    def __init__(self, make_handler: MakeHandler, make_matcher: MakeMatcher) -> None:
        self._make_handler = make_handler
        self._make_matcher = make_matcher

    def compile(self, routes: Sequence[RouteConfig], end: Next = end_of_chain) -> Next:
        """Return the chain of ``routes``; requests that none of them answers go to ``end``."""
        chain = end
        for route in reversed(routes):
            chain = self._compile_route(route, chain, end)
        return chain

    def compile_matchers(self, sets: Sequence[dict[str, ModuleConfig]]) -> Matcher | None:
        """Return the OR of matcher sets; None when there are none (matches everything)."""
        return any_of([all_of([self._make_matcher(m) for m in s.values()]) for s in sets])

    def _compile_route(self, route: RouteConfig, following: Next, end: Next) -> Next:
        matches = self.compile_matchers(route.match)
        inside = end if route.terminal else following
        for module in reversed(route.handle):
            handler = self._make_handler(module)
            if module.spec.terminal and getattr(module.config, "pass_thru", False):
                inside = _passing_through(handler.handle, inside)  # type: ignore[arg-type]
            elif module.spec.terminal:
                inside = handler.handle  # type: ignore[assignment]
            else:
                inside = partial(_call_middleware, handler.handle, inside)
        if route.group:
            return _grouped(route.group, matches, inside, following)
        if matches is None:
            return inside
        return _conditional(matches, inside, following)


def _call_middleware(handle, following: Next, request: Request):  # type: ignore[no-untyped-def]
    return handle(request, following)


def _passing_through(handle: Next, following: Next) -> Next:
    """Hand what a terminal handler does not find (404) to the rest of the chain (``pass_thru``).

    The handler is asked without the body: it may be far away, and the body is read only once.
    """

    async def route(request: Request) -> Response:
        body, headers = request.body, request.headers
        if body != b"":
            request.body, request.headers = b"", headers.copy()
            request.headers.remove(b"content-length")
        try:
            return await handle(request)
        except HttpError as error:
            if error.status != 404:
                raise
        finally:
            request.body, request.headers = body, headers
        return await following(request)

    return route


def _conditional(matches: Matcher, inside: Next, following: Next) -> Next:
    def route(request: Request):  # type: ignore[no-untyped-def]
        return inside(request) if matches(request) else following(request)

    return route


def _grouped(group: str, matches: Matcher | None, inside: Next, following: Next) -> Next:
    def route(request: Request):  # type: ignore[no-untyped-def]
        taken = request.groups
        if (taken is not None and group in taken) or (matches is not None and not matches(request)):
            return following(request)
        if taken is None:
            request.groups = {group}
        else:
            taken.add(group)
        return inside(request)

    return route
