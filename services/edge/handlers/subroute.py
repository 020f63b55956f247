"""``http.handlers.subroute`` and ``invoke``: a chain that goes on where the outer one does.

A terminal route inside it ends the outer chain too. Its error routes answer what is raised inside it or after it
on its chain, as in Caddy; what they do not answer goes on with the outer chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from quantum.errors import ConfigError
from quantum.http.handler import Next
from quantum.http.route import RouteCompiler, recovering
from quantum.modules.config import RouteConfig
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import InvokeConfig, SubrouteConfig


class Subroute:
    """Compiles its routes into the chain it stands in."""

    def __init__(self, config: SubrouteConfig, provision: Provision) -> None:
        self._config = config
        self._compiler: RouteCompiler = provision.get(RouteCompiler)

    def link(self, following: Next) -> Next:
        """Return the chain of the routes, ending in ``following``."""
        chain = self._compiler.compile(self._config.routes, end=following)
        errors = self._config.errors
        if errors is None:
            return chain
        answering = self._compiler.compile(errors.routes, end=following)
        return recovering(chain, answering, restore=False)


class NamedRoutes:
    """The ``named_routes`` of a server, while its chain is compiled."""

    def __init__(self, routes: Mapping[str, RouteConfig]) -> None:
        self._routes = routes
        self._open: list[str] = []

    @contextmanager
    def opened(self, name: str, path: str) -> Iterator[RouteConfig]:
        """Give the route while it is compiled; ConfigError at ``path`` when it is unknown or inside itself."""
        route = self._routes.get(name)
        if route is None:
            there = ", ".join(sorted(self._routes)) or "none"
            raise ConfigError(path, f"no route is named {name!r}", f"named_routes has: {there}")
        if name in self._open:
            circle = " > ".join([*self._open, name])
            raise ConfigError(path, f"a named route that invokes itself: {circle}")
        self._open.append(name)
        try:
            yield route
        finally:
            self._open.pop()


class Invoke:
    """Compiles a named route into the chain it stands in, each time anew: what follows differs."""

    def __init__(self, config: InvokeConfig, provision: Provision) -> None:
        self._name, self._path = config.name, f"{provision.path}.name"
        self._routes: NamedRoutes = provision.get(NamedRoutes)
        self._compiler: RouteCompiler = provision.get(RouteCompiler)

    def link(self, following: Next) -> Next:
        """Return the chain of the route, ending in ``following``."""
        with self._routes.opened(self._name, self._path) as route:
            return self._compiler.compile([route], end=following)
