"""``http.matchers.expression``: a condition in CEL over the request, as closures.

Placeholders have the type that Caddy gives them: most are texts, a status is a number, a variable is
what a handler left, what is not known is null.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from quantum.config.units import parse_duration
from quantum.errors import HttpError
from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import find, is_variable
from quantum.modules.lifetime import Provision
from services.edge.expression.code import Run
from services.edge.expression.config import ExpressionConfig
from services.edge.expression.http import compile_expression
from services.edge.expression.values import EvaluationError, from_native

_VARS = "http.vars."
_TLS = "http.request.tls."
_COMPUTED = frozenset({"http.vars.client_ip", "http.vars.trusted_proxy"})


def _number(text: str) -> Any:
    return int(text) if text.isascii() and text.isdecimal() else text


_TYPED: dict[str, Callable[[str], Any]] = {
    "http.request.duration": lambda text: timedelta(seconds=parse_duration(text)),
    "http.request.duration_ms": float,
    "http.request.local.port": _number,
    "http.request.port": _number,
    "http.request.remote.port": _number,
    "http.request.tls.proto_mutual": lambda text: text == "true",
    "http.request.tls.resumed": lambda text: text == "true",
    "http.vars.trusted_proxy": lambda text: text == "true",
}
"""Placeholders that are no texts in Caddy."""


def expression(config: ExpressionConfig, provision: Provision) -> Matcher:
    """Return the question that the expression asks. HttpError 500 when it has no value for a request."""
    matchers = {column: provision.instantiate(module) for column, module in config.matchers.items()}
    ask = compile_expression(
        config.expr, value_of, lambda node, given: matchers[node.column], config.name
    )

    def matches(request: Request) -> bool:
        try:
            return bool(ask(request))
        except EvaluationError as error:
            raise HttpError(500, f"evaluating expression: {error}") from None

    return matches


def value_of(key: str) -> Run:
    """Return what gives the value of a placeholder, None when it means nothing for a request."""
    if key == "time.now":
        now = find("time.now.unix_ms")
        return lambda request: datetime.fromtimestamp(int(now(request) or 0) / 1000).astimezone()
    if is_variable(key) and key not in _COMPUTED:
        name = key.removeprefix(_VARS)
        return lambda request: from_native(request.vars.get(name)) if request.has_vars else None
    lookup, convert = find(key), _TYPED.get(key)
    if key.startswith(_TLS):
        known = convert or str
        return lambda request: known(lookup(request) or "") if request.connection.tls else None
    if convert is None:
        return lookup

    def typed(request: Request) -> Any:
        text = lookup(request)
        return None if not text else convert(text)

    return typed
