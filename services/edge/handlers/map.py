"""``http.handlers.map``: placeholders whose values follow from the value of another.

They are worked out when the map is passed, not when they are read. Outputs of a regular expression
take its groups (``$1``); an output that is null falls back to the destination's default.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from quantum.config.pattern import Pattern
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template, to_text
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import MapConfig, MappingConfig

Output = Callable[[Request, str], "str | None"]
"""Gives a destination's value for (request, source); None for the default."""


class Map:
    """Sets its destinations and goes on."""

    def __init__(self, config: MapConfig, provision: Provision) -> None:
        self._source = compile_template(config.source)
        self._keys = [destination[1:-1] for destination in config.destinations]
        self._lines = [_line(mapping) for mapping in config.mappings]
        self._defaults = [compile_template(text) for text in config.defaults]

    def link(self, following: Next) -> Next:
        """Return the link."""

        def mapping(request: Request) -> Awaitable[Response]:
            request.vars.update(zip(self._keys, self._values(request), strict=True))
            return following(request)

        return mapping

    def _values(self, request: Request) -> list[str]:
        source = self._source(request)
        outputs = next((outputs for is_meant, outputs in self._lines if is_meant(source)), None)
        found = (
            [None] * len(self._keys) if outputs is None else [o(request, source) for o in outputs]
        )
        defaults = [expand(request) for expand in self._defaults] or [""] * len(self._keys)
        return [d if value is None else value for value, d in zip(found, defaults, strict=True)]


def _line(config: MappingConfig) -> tuple[Callable[[str], bool], list[Output]]:
    if not config.input_regexp:
        return config.input.__eq__, [_output(output, None) for output in config.outputs]
    pattern = Pattern(config.input_regexp)
    outputs = [_output(output, pattern) for output in config.outputs]
    return lambda source: pattern.search(source) is not None, outputs


def _output(configured: Any, pattern: Pattern | None) -> Output:
    """Fill in placeholders before groups: what a client sent is never taken for a placeholder."""
    text = to_text(configured)
    if text is None:
        return lambda request, source: None
    if pattern is None:
        expand = compile_template(text)
        return lambda request, source: expand(request)
    escaped = compile_template(text, change=lambda key, value, request: value.replace("$", "$$"))
    return lambda request, source: pattern.expand(source, escaped(request))
