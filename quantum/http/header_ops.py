"""Changing header fields as a configuration says; compiled once, run for each message.

The ``headers`` handler and the proxy share this engine. Field names and values may hold placeholders;
what has none is encoded when the configuration is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from quantum.config.pattern import Pattern
from quantum.http.headers import Headers
from quantum.http.message import Request
from quantum.http.placeholders import compile_template, constant
from quantum.modules.header_ops import (
    HeaderOperations,
    Replacement,
    ResponseRequirement,
)

Step = Callable[[Headers, Request], None]
"""One operation; the request is there for placeholders."""
Value = Callable[[Request], bytes]


def compile_operations(operations: HeaderOperations) -> list[Step]:
    """Return the steps of ``operations`` in Caddy's order."""
    steps: list[Step] = []
    if "*" in operations.delete:
        steps.append(lambda headers, _: headers.fields.clear())
    for name, values in operations.add.items():
        steps.extend(partial(_add, _name(name), _value(value)) for value in values or ())
    for name, values in operations.set.items():
        if values:
            steps.append(partial(_set, _name(name), tuple(_value(value) for value in values)))
        else:
            steps.append(_deletion(name))
    steps.extend(_deletion(name) for name in operations.delete if name != "*")
    for name, replacements in operations.replace.items():
        steps.extend(_replacement(name, replacement) for replacement in replacements)
    return steps


def run(steps: list[Step], headers: Headers, request: Request) -> None:
    """Change ``headers`` in place; they MUST be the caller's own."""
    for step in steps:
        step(headers, request)


def compile_requirement(requirement: ResponseRequirement) -> Callable[[int, Headers], bool]:
    """Return the question whether a response is one that the operations are for."""
    codes = requirement.status_code
    wanted = [(name.lower().encode(), values) for name, values in requirement.headers.items()]

    def is_wanted(status: int, headers: Headers) -> bool:
        if codes and status not in codes and status // 100 not in codes:
            return False
        return all(_has(headers, name, values) for name, values in wanted)

    return is_wanted


def _has(headers: Headers, name: bytes, values: list[str] | None) -> bool:
    """Caddy's rule: null means absent, an empty list present, a value may have a ``*`` at its ends."""
    present = headers.all(name)
    if values is None:
        return not present
    if not values:
        return bool(present)
    return any(_wildcard(value.encode())(given) for value in values for given in present)


def encode_value(text: str) -> bytes:
    """Return a field value as bytes; line breaks that a placeholder brought in become spaces."""
    data = text.encode("utf-8", "surrogateescape")
    if b"\n" in data or b"\r" in data or b"\0" in data:
        data = re.sub(rb"[\r\n\0]+", b" ", data)
    return data


def _value(text: str, prepare: Callable[[str], bytes] = encode_value) -> Value:
    """Return what gives the bytes of ``text`` for a request."""
    fixed = constant(text)
    if fixed is not None:
        data = prepare(fixed)
        return lambda _: data
    expand = compile_template(text)
    return lambda request: prepare(expand(request))


def _name(text: str) -> Value:
    return _value(text, lambda name: encode_value(name).lower())


def _add(name: Value, value: Value, headers: Headers, request: Request) -> None:
    headers.add(name(request), value(request))


def _set(name: Value, values: tuple[Value, ...], headers: Headers, request: Request) -> None:
    headers.set(name(request), b",".join([value(request) for value in values]))


def _wildcard(pattern: bytes) -> Callable[[bytes], bool]:
    """Match the whole, or with ``*`` the end (``*x``), the start (``x*``) or any part (``*x*``)."""
    core = pattern.strip(b"*")
    if pattern[:1] == b"*":
        return (
            partial(_contains, core) if pattern[-1:] == b"*" else lambda text: text.endswith(core)
        )
    return (lambda t: t.startswith(core)) if pattern[-1:] == b"*" else core.__eq__


def _contains(core: bytes, text: bytes) -> bool:
    return core in text


def _deletion(text: str) -> Step:
    name = _name(text)

    def delete(headers: Headers, request: Request) -> None:
        pattern = name(request)
        if b"*" not in pattern:
            headers.remove(pattern)
            return
        is_meant = _wildcard(pattern)
        headers.fields = [field for field in headers.fields if not is_meant(field[0])]

    return delete


def _replacement(text: str, replacement: Replacement) -> Step:
    name, with_, search = _name(text), _value(replacement.replace), _value(replacement.search)
    pattern = Pattern(replacement.search_regexp) if replacement.search_regexp else None

    def replace(headers: Headers, request: Request) -> None:
        key = name(request)
        if pattern is not None:
            template = with_(request).decode("utf-8", "surrogateescape")
            change = partial(_resubstitute, pattern, template)
        else:
            change = partial(_substitute, search(request), with_(request))
        headers.fields = [
            (field, change(value) if key in (b"*", field) else value)
            for field, value in headers.fields
        ]

    return replace


def _resubstitute(pattern: Pattern, template: str, value: bytes) -> bytes:
    return pattern.replace_bytes(value, template)


def _substitute(search: bytes, replace: bytes, value: bytes) -> bytes:
    return value.replace(search, replace)
