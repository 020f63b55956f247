"""Blocks of directives: handle, route, handle_errors, invoke; and what a site listens on."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.routes import Route, Subroute, Value, build
from quantum.caddyfile.values import numbers

STATUS = "{http.error.status_code}"


def _match(context: Context) -> Any:
    if not context.d.next():
        raise context.d.arg_error()
    return context.take_matcher()


def handle(context: Context) -> list[Value]:
    """``handle [<matcher>] { … }``."""
    match = _match(context)
    found = context.subroute()
    return [Value("route", Route(None if match is None else [match], [found.handler()]))]


def route(context: Context) -> list[Value]:
    """``route [<matcher>] { … }``: in the order written."""
    match = _match(context)
    values = context.values()
    for value in values:
        if value.kind != "route":
            raise context.d.error(
                f"{value.directive} directive returned something other than an HTTP route or "
                "subroute (only handler directives can be used in routes)"
            )
    found = build(values, context.groups, None)
    return [Value("route", Route(None if match is None else [match], [found.handler()]))]


def handle_errors(context: Context) -> list[Value]:
    """``handle_errors [<codes…>] { … }``."""
    d = context.d
    d.next()
    args = d.rest()
    expression = _expression(d, args)
    if args:
        d.reset()
        d.next()
        d.rest()
    d.prev()
    inner = context.subroute()
    match = [{"expression": expression}] if expression else None
    return [Value("error_route", Subroute([Route(match, [inner.handler()])]))]


def _expression(d: Dispenser, args: list[str]) -> str:
    """Return the condition for status codes and classes ("4xx")."""
    parts, codes = [], []
    for value in args:
        if len(value) != 3:
            raise d.error(f"bad status value '{value}'")
        shown = value[0] if value.endswith("xx") else value
        try:
            numbers.parse_int(shown)
        except CaddyfileError as error:
            raise d.error(f"bad status value '{shown}': {error.problem}") from None
        if value.endswith("xx"):
            parts.append(f"{STATUS} >= {shown}00 && {STATUS} <= {shown}99")
        else:
            codes.append(value)
    if codes:
        parts.append(f"{STATUS} in [{', '.join(codes)}]")
    return " || ".join(parts)


def invoke(context: Context) -> dict[str, Any]:
    """``invoke <named route>``."""
    d = context.d
    d.next()
    name = d.arg()
    while d.next():
        raise d.arg_error()
    context.state.invoked.add(name)
    return {"name": name}


def bind(context: Context) -> list[Value]:
    """``bind <addresses…> { protocols }``."""
    d = context.d
    d.next()
    return [Value("bind", read_bind(d))]


def read_bind(d: Dispenser) -> tuple[list[str], list[str]]:
    """Read addresses and the protocols to serve there."""
    addresses, protocols = d.rest(), []
    for word in d.block():
        if word != "protocols":
            raise d.error(f"unknown subdirective: {word}")
        protocols = d.rest()
        if not protocols:
            raise d.error("protocols requires one or more arguments")
    return addresses, protocols
