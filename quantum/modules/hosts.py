"""The host names that routes are for: what edge and certs both have to know."""

from __future__ import annotations

from collections.abc import Sequence

from quantum.modules.config import RouteConfig


def host_names(routes: Sequence[RouteConfig]) -> list[str]:
    """Return the literal names of the ``host`` matchers of top-level routes, each once, in order.

    As in Caddy, subroutes are not searched and names with placeholders are left out.
    """
    found: dict[str, None] = {}
    for route in routes:
        for matchers in route.match:
            module = matchers.get("host")
            for name in module.config.root if module is not None else ():
                if "{" not in name:
                    found[name] = None
    return list(found)
