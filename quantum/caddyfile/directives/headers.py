"""``header`` and ``request_header``."""

from __future__ import annotations

from quantum.caddyfile.context import Context
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.responses import HeaderOps, read_matcher, take_operation
from quantum.caddyfile.routes import Value


def header(context: Context) -> list[Value]:
    """``header [<matcher>] [[+|-|?|>]<field> [<value>|<find> [<replace>]]] { … }``."""
    d = context.d
    d.next()
    match = context.take_matcher()
    d.next()
    plain, conditional = HeaderOps(response=True), HeaderOps(response=True)
    has_args = d.next_arg()
    if has_args:
        field = d.val
        _apply(d, plain, field, *take_operation(d))
        # A field of the first line that is only set when absent is the plain handler's.
    for field in d.block():
        if field == "defer":
            plain.deferred = True
        elif field == "match":
            plain.require = read_matcher(d)
        elif has_args:
            raise d.error("cannot specify headers in both arguments and block")
        else:
            name = field.removesuffix(":")
            ops = conditional if name.startswith("?") else plain
            _apply(d, ops, name, *take_operation(d))
    found = []
    for ops in (plain, conditional):
        made = ops.to_json()
        if made:
            found += context.route(match, "headers", {"response": made})
    return found


def _apply(d: Dispenser, ops: HeaderOps, field: str, value: str, replacement: str | None) -> None:
    try:
        ops.apply(field, value, replacement)
    except CaddyfileError as error:
        raise d.error(error.problem) from None


def request_header(context: Context) -> list[Value]:
    """``request_header [<matcher>] [+|-]<field> [<value>|<find> [<replace>]]``."""
    d = context.d
    d.next()
    match = context.take_matcher()
    d.next()
    ops = HeaderOps(response=False)
    field = d.arg().removesuffix(":")
    _apply(d, ops, field, *take_operation(d))
    d.no_more()
    return context.route(match, "headers", {"request": ops.to_json()})
