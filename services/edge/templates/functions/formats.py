"""``printf``: Go's verbs."""

from __future__ import annotations

import json
import re
from typing import Any

from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import kind_of, shown

MAX_WIDTH = 1000
_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d*))?(?:\[\d+\])?(.)?", re.DOTALL)


def sprintf(template: str, *values: Any) -> str:
    """Return a text as Go's Sprintf; what is missing or too much is written into it, as there."""
    given = list(values)

    def one(found: re.Match[str]) -> str:
        flags, width, precision, verb = found[1], found[2], found[3], found[4]
        if verb == "%":
            return "%"
        if verb is None:
            return "%!(NOVERB)"
        if not given:
            return f"%!{verb}(MISSING)"
        if int(width or 0) > MAX_WIDTH or int(precision or 0) > MAX_WIDTH:
            raise TemplateError(f"printf: wider than {MAX_WIDTH}")
        text = _formatted(verb, flags, precision, given.pop(0))
        return _padded(text, flags, int(width or 0))

    text = _VERB.sub(one, template)
    if given:
        extra = ", ".join(f"{_type(value)}={shown(value, inside=True)}" for value in given)
        text += f"%!(EXTRA {extra})"
    return text


def _type(value: Any) -> str:
    return {"slice": "[]interface {}", "map": "map[string]interface {}"}.get(kind_of(value), kind_of(value))  # fmt: skip


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and text[:1] in {"+", "-"}:
        return text[0] + text[1:].rjust(width - 1, "0")
    return text.rjust(width, "0" if "0" in flags else " ")


def _formatted(verb: str, flags: str, precision: str | None, value: Any) -> str:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    sign = "+" if "+" in flags else " " if " " in flags else ""
    if verb in "vs":
        text = shown(value, inside=True)
        return text[: int(precision or 0)] if precision is not None and verb == "s" else text
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if verb == "T":
        return _type(value)
    if verb == "t" and isinstance(value, bool):
        return shown(value)
    if is_int and verb in "dboxX":
        alternative = "#" if "#" in flags and verb != "d" else ""
        return format(value, f"{sign}{alternative}{verb}")
    if is_int and verb == "c":
        return chr(value)
    if verb in "feEgG" and isinstance(value, float):
        places = 6 if precision is None and verb not in "gG" else precision
        return shown(value) if places is None else format(value, f"{sign}.{places or 0}{verb}")
    if verb in "xX" and isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").hex()
        return text.upper() if verb == "X" else text
    return f"%!{verb}({_type(value)}={shown(value, inside=True)})"
