"""``http.handlers.subroute``: a chain that goes on where the outer one does.

A terminal route inside it ends the outer chain too. Its error routes answer what is raised inside it or after it
on its chain, as in Caddy; what they do not answer goes on with the outer chain.
"""

from __future__ import annotations

from quantum.http.handler import Next
from quantum.http.route import RouteCompiler, recovering
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import SubrouteConfig


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
