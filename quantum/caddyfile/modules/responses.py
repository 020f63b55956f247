"""Response matchers, operations on header fields, and values that may be numbers."""

from __future__ import annotations

import re
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.headers import canonical
from quantum.caddyfile.modules.matchers import MATCHERS
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.encoding import compact


def read_matcher(d: Dispenser) -> dict[str, Any]:
    """Read a response matcher; the cursor is on its name."""
    inner = d.fork()
    inner.next()
    headers: dict[str, Any] = {}
    codes: list[int] = []
    nesting = inner.nesting
    while inner.next_arg() or inner.next_block(nesting):
        word = inner.val
        if word == "header":
            found = MATCHERS["header"](inner.fork())
            for name, values in found.items():
                headers[name] = None if values is None else [*(headers.get(name) or []), *values]
        elif word == "status":
            codes += [_status(inner, value) for value in inner.some()]
        else:
            raise inner.error(f"unrecognized response matcher {word}")
    return compact(status_code=codes, headers=dict(sorted(headers.items())))


def _status(d: Dispenser, value: str) -> int:
    if len(value) == 3 and value.endswith("xx"):
        value = value[0]
    try:
        return numbers.parse_int(value)
    except CaddyfileError as error:
        raise d.error(f"bad status value '{value}': {error.problem}") from None


class HeaderOps:
    """Operations on header fields; ``response`` tells whether "?" and ">" mean something."""

    def __init__(self, *, response: bool) -> None:
        self.add: dict[str, list[str]] = {}
        self.set: dict[str, list[str]] = {}
        self.delete: list[str] = []
        self.replace: dict[str, list[dict[str, str]]] = {}
        self.deferred = False
        self.require: dict[str, Any] | None = None
        self._response = response

    def apply(self, field: str, value: str, replacement: str | None) -> None:
        """Add the operation that a line says."""
        if field.startswith("+"):
            self.add.setdefault(canonical(field[1:]), []).append(value)
        elif field.startswith("-"):
            self.delete.append(field[1:])
            self.deferred = True
        elif field.startswith("?"):
            self._default(field[1:], value, field)
        else:
            if field.startswith(">"):
                field = field[1:]
                self.deferred = True
            if replacement is not None:
                found = {"search_regexp": value, "replace": replacement}
                self.replace[field] = [compact(**found)]
            else:
                self.set[canonical(field)] = [value]

    def _default(self, name: str, value: str, field: str) -> None:
        if not self._response:
            raise CaddyfileError(
                f"{field}: the default header modifier ('?') can only be used on response headers; "
                "for conditional manipulation of request headers, use matchers"
            )
        if self.require is None:
            self.require = {}
        self.require.setdefault("headers", {})[name] = None
        self.set[canonical(name)] = [value]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that say something."""
        made = compact(add=self.add, set=self.set, delete=self.delete, replace=self.replace)
        if self._response:
            if self.require is not None:
                made["require"] = self.require
            if self.deferred:
                made["deferred"] = True
        return made


def take_operation(d: Dispenser) -> tuple[str, str | None]:
    """Take the value and the replacement that may follow a field's name."""
    value = d.val if d.next_arg() else ""
    return value, (d.val if d.next_arg() else None)


def scalar(d: Dispenser) -> str | int | float | bool:
    """Return the current token as the number or truth value it is, if it is not quoted."""
    text = d.val
    if d.token.is_quoted:
        return text
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    try:
        return numbers.parse_float(text)
    except CaddyfileError:
        return text == "true" if text in {"true", "false"} else text
