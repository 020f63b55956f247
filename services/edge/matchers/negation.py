"""``http.matchers.not``: none of the matcher sets may match."""

from __future__ import annotations

from quantum.http.matcher import Matcher
from quantum.http.route import RouteCompiler
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import NotConfig


def negation(config: NotConfig, provision: Provision) -> Matcher:
    """Return the question whether every one of the sets fails to match."""
    if not config.root:
        return lambda request: True
    any_set = provision.get(RouteCompiler).compile_matchers(config.root)
    return lambda request: not any_set(request)
