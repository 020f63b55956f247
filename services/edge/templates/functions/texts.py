"""Sprig's functions of texts, and of paths."""

from __future__ import annotations

import posixpath
import re
import secrets
import string
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from quantum.config.pattern import Pattern
from services.edge.templates.execution import MAX_OUTPUT
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import shown

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@lru_cache(maxsize=256)
def _pattern(text: str) -> Pattern:
    return Pattern(text)


def _bounded(length: int) -> None:
    if length > MAX_OUTPUT:
        raise TemplateError(f"a text of more than {MAX_OUTPUT} characters")


def _repeat(count: int, text: str) -> str:
    _bounded(count * len(text))
    return text * max(0, count)


def _indent(spaces: int, text: str) -> str:
    _bounded(spaces * (text.count("\n") + 1))
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


def _trunc(count: int, text: str) -> str:
    return text[count:] if count < 0 and len(text) + count > 0 else text[:count] if count >= 0 else text  # fmt: skip


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _substr(start: int, end: int, text: str) -> str:
    if start < 0:
        return text[:end]
    return text[start:] if end < 0 or end > len(text) else text[start:end]


def _title(text: str) -> str:
    return re.sub(r"(^|(?<=\s))\S", lambda found: found[0].upper(), text)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _joined(items: Any, separator: str) -> str:
    values = items if isinstance(items, list) else [items]
    return separator.join(shown(item) for item in values if item is not None)


def _replace(old: str, new: str, text: str) -> str:
    _bounded(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def _find_all(pattern: str, text: str, count: int = -1) -> list[str]:
    found: list[str] = []
    compiled, place = _pattern(pattern), 0
    while place <= len(text) and (count < 0 or len(found) < count):
        groups = compiled.search(text[place:])
        if groups is None:
            break
        found.append(groups[0])
        place = text.index(groups[0], place) + max(1, len(groups[0]))
    return found


def _split_by(pattern: str, text: str, count: int = -1) -> list[str]:
    parts: list[str] = []
    place = 0
    for found in _find_all(pattern, text):
        if not found or (count > 0 and len(parts) + 1 >= count):
            continue
        start = text.index(found, place)
        parts.append(text[place:start])
        place = start + len(found)
    return [*parts, text[place:]]


def _random(alphabet: str) -> Callable[[int], str]:
    def made(count: int) -> str:
        _bounded(count)
        return "".join(secrets.choice(alphabet) for _ in range(count))

    return made


def _split(separator: str, text: str) -> dict[str, str]:
    return {f"_{index}": part for index, part in enumerate(_list(separator, text))}


def _list(separator: str, text: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _quote(*values: Any) -> str:
    texts = (shown(v) for v in values if v is not None)
    return " ".join(
        '"' + t.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"' for t in texts
    )


def _camel(text: str) -> str:
    return "".join(word[:1].upper() + word[1:].lower() for word in _words(text))


TEXTS: dict[str, Callable[..., Any]] = {
    "trim": lambda text: text.strip(),
    "trimAll": lambda cut, text: text.strip(cut),
    "trimall": lambda cut, text: text.strip(cut),
    "trimPrefix": lambda cut, text: text.removeprefix(cut),
    "trimSuffix": lambda cut, text: text.removesuffix(cut),
    "upper": lambda text: text.upper(),
    "lower": lambda text: text.lower(),
    "title": _title,
    "untitle": lambda text: re.sub(r"(^|(?<=\s))\S", lambda found: found[0].lower(), text),
    "swapcase": lambda text: text.swapcase(),
    "repeat": _repeat,
    "substr": _substr,
    "nospace": lambda text: "".join(text.split()),
    "trunc": _trunc,
    "abbrev": _abbrev,
    "initials": lambda text: "".join(word[0] for word in text.split()),
    "wrap": lambda width, text: "\n".join(textwrap.wrap(text, max(1, width), break_long_words=False)),
    "wrapWith": lambda width, mark, text: mark.join(textwrap.wrap(text, max(1, width))),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda start, text: text.startswith(start),
    "hasSuffix": lambda end, text: text.endswith(end),
    "quote": _quote,
    "squote": lambda *values: " ".join(f"'{shown(v)}'" for v in values if v is not None),
    "cat": lambda *values: " ".join(shown(v) for v in values if v is not None),
    "indent": _indent,
    "nindent": lambda spaces, text: "\n" + _indent(spaces, text),
    "replace": _replace,
    "plural": lambda one, many, count: one if count == 1 else many,
    "snakecase": lambda text: "_".join(_words(text)).lower(),
    "kebabcase": lambda text: "-".join(_words(text)).lower(),
    "camelcase": _camel,
    "join": lambda separator, items: _joined(items, separator),
    "split": _split,
    "splitList": _list,
    "splitn": lambda separator, count, text: {f"_{i}": p for i, p in enumerate(text.split(separator, count - 1))},
    "sortAlpha": lambda items: sorted(shown(item) for item in items),
    "toString": lambda value: shown(value, inside=True),
    "toStrings": lambda items: [shown(item, inside=True) for item in items],
    "regexMatch": lambda pattern, text: _pattern(pattern).is_in(text),
    "regexFind": lambda pattern, text: (_pattern(pattern).search(text) or [""])[0],
    "regexFindAll": _find_all,
    "regexReplaceAll": lambda pattern, text, new: _pattern(pattern).replace(text, new),
    "regexReplaceAllLiteral": lambda pattern, text, new: _pattern(pattern).replace(text, new.replace("$", "$$")),
    "regexSplit": _split_by,
    "regexQuoteMeta": lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text),
    "randAlpha": _random(string.ascii_letters),
    "randNumeric": _random(string.digits),
    "randAlphaNum": _random(string.ascii_letters + string.digits),
    "randAscii": _random(string.printable[:94]),
    "base": lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else "."),
    "dir": lambda path: posixpath.normpath(posixpath.dirname(path) or "."),
    "ext": lambda path: f".{path.rpartition('/')[2].rpartition('.')[2]}" if "." in path.rpartition("/")[2] else "",
    "clean": lambda path: posixpath.normpath(path or "."),
    "isAbs": lambda path: path.startswith("/"),
}  # fmt: skip
