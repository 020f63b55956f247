"""``http.matchers.vars``: what earlier handlers left, or any placeholder, compared as text."""

from __future__ import annotations

from quantum.http.matcher import Matcher, all_of
from quantum.http.message import Request
from quantum.http.placeholders import Template, compile_template, find
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import VarsConfig


def value_of(name: str) -> Template:
    """Return what gives a variable, or the placeholder of ``{name}``, as text; "" when unknown."""
    is_placeholder = name.startswith("{") and name.endswith("}")
    lookup = find(name.strip("{}") if is_placeholder else f"http.vars.{name}")
    return lambda request: lookup(request) or ""


def variables(config: VarsConfig, provision: Provision) -> Matcher:
    """Return the question whether every variable has one of its values."""
    return all_of([_variable(name, values) for name, values in config.root.items()])


def _variable(name: str, values: list[str]) -> Matcher:
    value = value_of(name)
    templates = [compile_template(text) for text in values]

    def matches(request: Request) -> bool:
        given = value(request)
        return any(given == expand(request) for expand in templates)

    return matches
