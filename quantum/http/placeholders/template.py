r"""Placeholders: ``{http.request.host}`` and the like, compiled once into closures.

A template without placeholders is a constant and costs nothing. What a key means stands in three
tables: ``request`` (``http.request.*``), ``surroundings`` (env, time, system, file) and the
request's variables, where handlers leave what they found (``http.regexp.*``, ``http.error.*``, a
map's destinations). Syntax as Caddy's replacer: ``\{`` and ``\}`` are literal braces, a brace that
never closes is text. A value is inserted as it is: placeholders inside it are not expanded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from quantum.errors import HttpError
from quantum.http.message import Request
from quantum.http.placeholders import request as request_facts
from quantum.http.placeholders import surroundings

Template = Callable[[Request], str]
"""Gives the text for one request."""

Lookup = Callable[[Request], "str | None"]
"""Gives the value of one key; None when the key means nothing for that request."""

MAX_UNCLOSED = 100
"""Braces that never close, in one template: more make scanning slow and mean nothing (Caddy's limit)."""

_NAME = re.compile(r"[A-Za-z_][\w.\-/,:*]*\Z")
_RESPONSE_HEADER = "http.response.header."
_VARS = "http.vars."


class Mode(Enum):
    """What becomes of a key that is unknown: empty, kept verbatim, or an error (500)."""

    ALL = "all"
    KNOWN = "known"
    OR_ERROR = "or_error"


Change = Callable[[str, str, Request], str]
"""Makes of (key, value, request) what is inserted: for values that must be escaped."""


def compile_template(
    template: str, mode: Mode = Mode.ALL, change: Change | None = None
) -> Template:
    """Return a function that expands ``template`` for a request."""
    parts = _parse(template, mode)
    if change is not None:
        parts = [p if isinstance(p, str) else (p[0], _changed(p[0], p[1], change)) for p in parts]
    if len(parts) == 1 and isinstance(parts[0], str):
        text = parts[0]
        return lambda request: text
    if mode is Mode.OR_ERROR:
        parts = [p if isinstance(p, str) else (p[0], _required(p[0], p[1])) for p in parts]
    lookups = [part for part in parts if not isinstance(part, str)]
    if len(lookups) == 1:
        return _one(parts, lookups[0], mode)
    return _many(parts, mode)


def constant(template: str, mode: Mode = Mode.ALL) -> str | None:
    """Return the text of a template in which no request makes a difference, else None."""
    parts = _parse(template, mode)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None


def find(key: str) -> Lookup:
    """Return the function that looks ``key`` up (``http.request.host``, without braces)."""
    builtin = request_facts.find(key) or surroundings.find(key)
    if builtin is not None:
        return builtin
    if key.startswith(_VARS):
        return _variable(key[len(_VARS) :])
    if key.startswith(_RESPONSE_HEADER):
        return _response_header(key[len(_RESPONSE_HEADER) :].lower().encode())
    return lambda request: to_text(request.vars.get(key)) if request.has_vars else None


def is_variable(key: str) -> bool:
    """Whether ``key`` is looked up among the request's variables, where handlers leave values of any type."""
    if key.startswith(_RESPONSE_HEADER):
        return False
    return request_facts.find(key) is None and surroundings.find(key) is None


def to_text(value: object) -> str | None:
    """Return ``value`` as placeholders show it: numbers and booleans as in JSON, None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list | tuple):
        return "[" + " ".join(to_text(item) or "" for item in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


Part = str | tuple[str, Lookup]


def _parse(template: str, mode: Mode) -> list[Part]:
    """Split into texts and (key, lookup) pairs; never empty, no two texts in a row."""
    if "{" not in template and "}" not in template:
        return [template]
    parts: list[Part] = []
    text = ""
    written = index = unclosed = 0
    while index < len(template):
        char = template[index]
        if index and char in "{}" and template[index - 1] == "\\":
            text += template[written : index - 1]
            written = index
        elif char == "{":
            end = _closing(template, index)
            if end < 0:
                unclosed += 1
                if unclosed > MAX_UNCLOSED:
                    raise ValueError("too many braces that never close")
            elif mode is not Mode.KNOWN or _may_be_key(template[index + 1 : end]):
                key = template[index + 1 : end]
                text += template[written:index]
                if text:
                    parts.append(text)
                text = ""
                parts.append((key, find(key)))
                index, written = end, end + 1
        index += 1
    text += template[written:]
    if text or not parts:
        parts.append(text)
    return parts


def _may_be_key(key: str) -> bool:
    """Whether ``{key}`` may be a placeholder: JSON in a body, for one, is none."""
    return _NAME.match(key) is not None or surroundings.find(key) is not None


def _closing(template: str, start: int) -> int:
    """Return where the brace at ``start`` closes, -1 if nowhere; escaped braces do not count."""
    end = template.find("}", start)
    while 0 < end < len(template) - 1 and template[end - 1] == "\\":
        end = template.find("}", end + 1)
    return end


def _fallback(key: str, mode: Mode) -> str:
    return f"{{{key}}}" if mode is Mode.KNOWN else ""


def _one(parts: list[Part], only: tuple[str, Lookup], mode: Mode) -> Template:
    place = parts.index(only)
    before = "".join(str(part) for part in parts[:place])
    after = "".join(str(part) for part in parts[place + 1 :])
    lookup, fallback = only[1], _fallback(only[0], mode)
    if not before and not after:

        def alone(request: Request) -> str:
            value = lookup(request)
            return fallback if value is None else value

        return alone

    def framed(request: Request) -> str:
        value = lookup(request)
        return f"{before}{fallback if value is None else value}{after}"

    return framed


def _many(parts: list[Part], mode: Mode) -> Template:
    steps: list[tuple[str, Lookup | None]] = [
        (part, None) if isinstance(part, str) else (_fallback(part[0], mode), part[1])
        for part in parts
    ]

    def expand(request: Request) -> str:
        texts = []
        for text, lookup in steps:
            value = lookup(request) if lookup is not None else None
            texts.append(text if value is None else value)
        return "".join(texts)

    return expand


def _changed(key: str, lookup: Lookup, change: Change) -> Lookup:
    def changed(request: Request) -> str | None:
        value = lookup(request)
        return None if value is None else change(key, value, request)

    return changed


def _required(key: str, lookup: Lookup) -> Lookup:
    def required(request: Request) -> str:
        value = lookup(request)
        if not value:
            problem = "unrecognized placeholder" if value is None else "empty placeholder"
            raise HttpError(500, f"{problem} {{{key}}}")
        return value

    return required


def _variable(name: str) -> Lookup:
    if name == "client_ip":
        return lambda request: request.client_ip
    if name == "trusted_proxy":
        return lambda request: (
            "true" if request.has_vars and request.vars.get(name) is True else "false"
        )
    return lambda request: to_text(request.vars.get(name)) or "" if request.has_vars else ""


def _response_header(name: bytes) -> Lookup:
    def response_header(request: Request) -> str:
        if request.response_fields is None:
            return ""
        return b",".join(request.response_fields.all(name)).decode("utf-8", "surrogateescape")

    return response_header
