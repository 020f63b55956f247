"""From the source of a template to texts and tokens (text/template/parse/lex.go)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from services.edge.templates.syntax import TemplateError


class Token(NamedTuple):
    """``kind``: ``text``, ``open``, ``close``, ``constant``, ``name``, ``variable``, ``field``, ``.``, or a sign."""

    kind: str
    value: Any
    line: int
    spaced: bool = False
    """Whether white space stands before it: ``.A .B`` are two operands, ``.A.B`` is one."""


_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)|(?P<char>'(?:[^'\\\n]|\\.)+')"""
    r"""|(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+(?![\d.])|0[bB][01_]+|\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?))"""
    r"""|(?P<field>\.[A-Za-z_]\w*)|(?P<variable>\$\w*)|(?P<name>[A-Za-z_]\w*)|(?P<sign>:=|[|(),=.])"""
)
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_SPACE = " \t\r\n"


def tokens_of(source: str, left: str, right: str) -> Iterator[Token]:
    """Yield the tokens; TemplateError where there are none."""
    place, line, trim = 0, 1, False
    while True:
        start = source.find(left, place)
        text = source[place:] if start < 0 else source[place:start]
        shown = text.lstrip(_SPACE) if trim else text
        trimmed_after = start >= 0 and _is_trim_after(source, start + len(left))
        if trimmed_after:
            shown = shown.rstrip(_SPACE)
        if shown:
            yield Token("text", shown, line)
        line += text.count("\n")
        if start < 0:
            return
        place = start + len(left) + (2 if trimmed_after else 0)
        if source.startswith("/*", place):
            end, trim = _end_of_comment(source, place, right, line)
            line += source.count("\n", place, end)
            place = end
            continue
        yield Token("open", left, line)
        place, line, trim = yield from _inside(source, place, right, line)
        yield Token("close", right, line)


def _is_trim_after(source: str, place: int) -> bool:
    return source[place : place + 1] == "-" and source[place + 1 : place + 2] in set(_SPACE)


def _end_of_comment(source: str, place: int, right: str, line: int) -> tuple[int, bool]:
    end = source.find("*/", place)
    if end < 0:
        raise TemplateError("the comment does not end", line)
    end += 2
    if re.compile(r"[ \t\r\n]-" + re.escape(right)).match(source, end):
        return end + 2 + len(right), True
    if source.startswith(right, end):
        return end + len(right), False
    raise TemplateError("a comment ends its action", line)


def _inside(source: str, place: int, right: str, line: int) -> Any:
    """Yield the tokens of an action; return where it ends, the line there, whether space is trimmed."""
    spaced = False
    while True:
        if source.startswith(f"-{right}", place) and spaced:
            return place + 1 + len(right), line, True
        if source.startswith(right, place):
            return place + len(right), line, False
        found = _TOKEN.match(source, place)
        if found is None:
            problem = f"unexpected {source[place : place + 10]!r}" if place < len(source) else "the action does not end"  # fmt: skip
            raise TemplateError(problem, line)
        kind, text = found.lastgroup or "", found[0]
        if kind != "space":
            yield _token(kind, text, line, spaced=spaced)
        spaced = kind == "space"
        line += text.count("\n")
        place = found.end()


def _token(kind: str, text: str, line: int, *, spaced: bool) -> Token:
    if kind == "string":
        return Token("constant", _unquoted(text[1:-1], line), line, spaced)
    if kind == "raw":
        return Token("constant", text[1:-1], line, spaced)
    if kind == "char":
        return Token("constant", ord(_unquoted(text[1:-1], line)[:1] or "\0"), line, spaced)
    if kind == "number":
        return Token("constant", _number(text, line), line, spaced)
    if kind == "name" and text in _CONSTANTS:
        return Token("constant", _CONSTANTS[text], line, spaced)
    if kind == "field":
        return Token("field", text[1:], line, spaced)
    return Token(text if kind == "sign" else kind, text, line, spaced)


def _number(text: str, line: int) -> Any:
    plain = text.replace("_", "")
    try:
        if re.fullmatch(r"[+-]?0[0-7]+", plain):
            return int(plain, 8)
        return int(plain, 0)
    except ValueError:
        try:
            return float(json.loads(plain.lstrip("+")) if plain[-1] != "." else plain)
        except ValueError:
            raise TemplateError(f"bad number {text!r}", line) from None


def _unquoted(text: str, line: int) -> str:
    def one(found: re.Match[str]) -> str:
        digits = found[1] or found[2] or found[3]
        if digits:
            return chr(int(digits, 16))
        if found[4]:
            return chr(int(found[4], 8))
        if found[5] not in _ESCAPES:
            raise TemplateError(f"unknown escape {found[0]!r}", line)
        return _ESCAPES[found[5]]

    return _ESCAPE.sub(one, text) if "\\" in text else text
