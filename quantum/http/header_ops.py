"""Changing header fields as a configuration says; compiled once, run for each message.

The ``headers`` handler and the proxy share this engine. Field names and values may hold placeholders
(in Caddy: names too); a value without one is encoded when the configuration is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from quantum.http.headers import Headers
from quantum.modules.header_ops import (
    HeaderOperations,
    Replacement,
    ResponseRequirement,
    python_replacement,
)

Expand = Callable[[str], str]
"""Fills the placeholders of a text, for one message."""
Step = Callable[[Headers, Expand], None]


def compile_operations(operations: HeaderOperations) -> list[Step]:
    """Return the steps of ``operations`` in Caddy's order."""
    steps: list[Step] = []
    if "*" in operations.delete:
        steps.append(lambda headers, _: headers.fields.clear())
    for name, values in operations.add.items():
        steps.extend(partial(_add, name, value) for value in values or ())
    for name, values in operations.set.items():
        steps.append(partial(_set, name, tuple(values)) if values else _deletion(name))
    steps.extend(_deletion(name) for name in operations.delete if name != "*")
    for name, replacements in operations.replace.items():
        steps.extend(_replacement(name, replacement) for replacement in replacements)
    return steps


def run(steps: list[Step], headers: Headers, expand: Expand) -> None:
    """Change ``headers`` in place; they MUST be the caller's own."""
    for step in steps:
        step(headers, expand)


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


def _named(name: str, expand: Expand) -> bytes:
    return (expand(name) if "{" in name else name).lower().encode()


def _valued(value: str, expand: Expand) -> bytes:
    return encode_value(expand(value) if "{" in value else value)


def _add(name: str, value: str, headers: Headers, expand: Expand) -> None:
    headers.add(_named(name, expand), _valued(value, expand))


def _set(name: str, values: tuple[str, ...], headers: Headers, expand: Expand) -> None:
    key = _named(name, expand)
    headers.set(key, _valued(values[0], expand))
    for value in values[1:]:
        headers.add(key, _valued(value, expand))


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


def _deletion(name: str) -> Step:
    def delete(headers: Headers, expand: Expand) -> None:
        pattern = _named(name, expand)
        if b"*" not in pattern:
            headers.remove(pattern)
            return
        is_meant = _wildcard(pattern)
        headers.fields = [field for field in headers.fields if not is_meant(field[0])]

    return delete


def _replacement(name: str, replacement: Replacement) -> Step:
    pattern = re.compile(replacement.search_regexp.encode()) if replacement.search_regexp else None

    def replace(headers: Headers, expand: Expand) -> None:
        key = None if name == "*" else _named(name, expand)
        with_ = _valued(replacement.replace, expand)
        if pattern is not None:
            template = python_replacement(with_.decode("latin-1")).encode("latin-1")
            change = partial(pattern.sub, template)
        else:
            change = partial(_substitute, _valued(replacement.search, expand), with_)
        headers.fields = [
            (field, change(value) if key in (None, field) else value)
            for field, value in headers.fields
        ]

    return replace


def _substitute(search: bytes, replace: bytes, value: bytes) -> bytes:
    return value.replace(search, replace)
