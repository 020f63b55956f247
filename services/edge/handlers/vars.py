"""``http.handlers.vars``: leave values for later handlers, as ``{http.vars.NAME}``."""

from __future__ import annotations

from collections.abc import Awaitable

from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import VarsConfig


class Vars:
    """Sets variables and goes on."""

    def __init__(self, config: VarsConfig, provision: Provision) -> None:
        is_dynamic = {
            k: "{" in k or (isinstance(v, str) and "{" in v) for k, v in config.root.items()
        }
        self._fixed = {key: value for key, value in config.root.items() if not is_dynamic[key]}
        self._dynamic = [
            (compile_template(key), compile_template(value) if isinstance(value, str) else value)
            for key, value in config.root.items()
            if is_dynamic[key]
        ]

    def link(self, following: Next) -> Next:
        """Return the link."""
        fixed, dynamic = self._fixed, self._dynamic

        def set_variables(request: Request) -> Awaitable[Response]:
            variables = request.vars
            variables.update(fixed)
            for key, value in dynamic:
                variables[key(request)] = value(request) if callable(value) else value
            return following(request)

        return set_variables
