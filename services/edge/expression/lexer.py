"""From text to tokens: CEL's, and Caddy's ``{placeholder}``.

Caddy rewrites placeholders with a regular expression before it parses, inside strings as well. Here
they are tokens: columns stay true, and a string that holds one stays that string, which the matchers
expand when they take it as an argument. A backslash before its brace, needed there, is accepted.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from services.edge.expression.syntax import ExpressionError
from services.edge.expression.values import Uint, int64, uint64


class Token(NamedTuple):
    """``kind`` is ``literal``, ``name``, ``placeholder``, ``end``, or the operator itself."""

    kind: str
    value: Any
    column: int


_QUOTED = re.compile(
    r"""([bB]?[rR]?|[rR][bB])("{3}(?:[^\\]|\\.)*?"{3}|'{3}(?:[^\\]|\\.)*?'{3}"""
    r"""|"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')""",
    re.DOTALL,
)
_RAW = re.compile(
    r"""([rR][bB]?|[bB][rR])("{3}.*?"{3}|'{3}.*?'{3}|"[^"\r\n]*"|'[^'\r\n]*')""", re.DOTALL
)
_PATTERNS = (
    ("space", re.compile(r"(?:\s|//[^\n]*)+")),
    ("placeholder", re.compile(r"\{([a-zA-Z][\w.\-]+)\}")),
    ("double", re.compile(r"\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?")),
    ("int", re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([uU]?)(?![\w])")),
    ("name", re.compile(r"[A-Za-z_]\w*", re.ASCII)),
    ("operator", re.compile(r"==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}]")),
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_SIMPLE = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34, "`": 96, "?": 63,
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_ESCAPED_PLACEHOLDER = re.compile(r"\\(\{[a-zA-Z][\w.\-]+\})")


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of ``text``, an ``end`` last; ExpressionError where none can be read."""
    found: list[Token] = []
    place = 0
    while place < len(text):
        token, place = _next(text, place)
        if token is not None:
            found.append(token)
    found.append(Token("end", None, len(text) + 1))
    return found


def _next(text: str, place: int) -> tuple[Token | None, int]:
    column = place + 1
    quoted = _RAW.match(text, place) or _QUOTED.match(text, place)
    if quoted is not None:
        return Token("literal", _quoted(quoted[1].lower(), quoted[2], column), column), quoted.end()
    for kind, pattern in _PATTERNS:
        match = pattern.match(text, place)
        if match is not None:
            return _token(kind, match, column), match.end()
    if text[place] in "\"'":
        raise ExpressionError(column, "the string does not end")
    raise ExpressionError(column, f"unexpected character {text[place]!r}")


def _token(kind: str, match: re.Match[str], column: int) -> Token | None:
    if kind == "space":
        return None
    if kind == "placeholder":
        return Token(kind, match[1], column)
    if kind == "double":
        return Token("literal", float(match[0]), column)
    if kind == "int":
        return Token("literal", _integer(match, column), column)
    if kind == "name" and match[0] in _CONSTANTS:
        return Token("literal", _CONSTANTS[match[0]], column)
    return Token("name" if kind == "name" else match[0], match[0], column)


def _integer(match: re.Match[str], column: int) -> Any:
    number = int(match[1], 16) if match[1][:2].lower() == "0x" else int(match[1])
    if match[2]:
        if number not in uint64:
            raise ExpressionError(column, "the number is too large for uint")
        return Uint(number)
    if number > int64.stop:  # one more than fits: the parser takes it behind a minus
        raise ExpressionError(column, "the number is too large for int")
    return number


def _quoted(prefix: str, text: str, column: int) -> str | bytes:
    width = 3 if text[:3] in {'"""', "'''"} else 1
    inside = text[width:-width]
    if "r" in prefix:
        return inside.encode() if "b" in prefix else inside
    if "b" in prefix:
        return _bytes(inside, column + len(prefix) + width)
    inside = _ESCAPED_PLACEHOLDER.sub(r"\1", inside)
    return _ESCAPE.sub(lambda found: chr(_code(found, column)), inside)


def _bytes(inside: str, column: int) -> bytes:
    data, place = bytearray(), 0
    for found in _ESCAPE.finditer(inside):
        data += inside[place : found.start()].encode()
        code, place = _code(found, column), found.end()
        data += bytes([code]) if found[1] or found[4] or code < 128 else chr(code).encode()
    return bytes(data + inside[place:].encode())


def _code(found: re.Match[str], column: int) -> int:
    digits = found[1] or found[2] or found[3]
    if digits:
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ExpressionError(column, f"{found[0]} is no character")
        return code
    if found[4]:
        return int(found[4], 8)
    code = _SIMPLE.get(found[5], -1)
    if code < 0:
        raise ExpressionError(column, f"unknown escape {found[0]!r} in a string")
    return code
