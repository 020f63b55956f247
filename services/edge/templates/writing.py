"""What Caddy adds for pages that people write: Markdown, front matter, plain text, sizes and ages."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from services.edge.templates.functions.dates import now
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import Struct, shown

MAX_MARKDOWN = 1024 * 1024
"""Characters that are rendered: a megabyte takes about a second."""

_AGES = (
    (60, 1, "second"), (3600, 60, "minute"), (86_400, 3600, "hour"), (604_800, 86_400, "day"),
    (2_592_000, 604_800, "week"), (31_536_000, 2_592_000, "month"), (float("inf"), 31_536_000, "year"),
)  # fmt: skip


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    renderer.core.ruler.push("heading_ids", _name_headings)
    return renderer


def _name_headings(state: Any) -> None:
    """Give headings the ids that Goldmark gives them: ASCII letters and digits of their source, dashes for spaces."""
    taken: set[str] = set()
    for place, token in enumerate(state.tokens):
        if token.type == "heading_open":
            plain = (c.lower() if c.isalnum() else "-" if c in " \t-_" else "" for c in state.tokens[place + 1].content if c.isascii())  # fmt: skip
            wanted = "".join(plain) or "heading"
            name, number = wanted, 0
            while name in taken:
                number += 1
                name = f"{wanted}-{number}"
            taken.add(name)
            token.attrSet("id", name)


def markdown(text: Any) -> str:
    """Return CommonMark with GitHub's tables and strikethrough as HTML, which may contain HTML itself."""
    source = shown(text)
    if len(source) > MAX_MARKDOWN:
        raise TemplateError(f"Markdown of more than {MAX_MARKDOWN} characters")
    return str(_renderer().render(source))


def split_front_matter(text: Any) -> Struct:
    """Return ``Meta`` and ``Body`` of a text that begins with YAML, TOML or JSON."""
    source = shown(text)
    first, _, rest = source.lstrip().partition("\n")
    fence = first.rstrip()
    if fence in {"---", "+++"}:
        inside, body = _fenced(rest, fence)
        return _page(_yaml(inside) if fence == "---" else _toml(inside), body)
    if fence == "{":
        try:
            meta, end = json.JSONDecoder().raw_decode(source.lstrip())
        except (ValueError, RecursionError) as error:
            raise TemplateError(f"front matter: {error}") from None
        return _page(meta, source.lstrip()[end:])
    return _page({}, source)


def _fenced(text: str, fence: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.rstrip() == fence or (fence == "---" and line.rstrip() == "..."):
            end = line[len(line.rstrip("\r\n")) :]  # belongs to the body, as in Caddy
            return "".join(lines[:number]), end + "".join(lines[number + 1 :])
    raise TemplateError("unterminated front matter")


def _page(meta: Any, body: str) -> Struct:
    return Struct({"Meta": _plain(meta or {}), "Body": body})


def _plain(value: Any) -> Any:
    """Return what a parser found with Go's kinds of values."""
    if isinstance(value, dict):
        return {shown(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    if any(mark in text for mark in ("&", "*")) and len(text) > 10_000:
        raise TemplateError("front matter: aliases in a long text")  # they can multiply it
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise TemplateError(f"front matter: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise TemplateError("front matter: no map")
    return found


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TemplateError(f"front matter: {error}") from None


def strip_html(text: Any) -> str:
    """Return a text without tags; a ``<`` that begins none stays. Naive, as Caddy's: no sanitizer."""
    source, kept = shown(text), []
    start, in_tag, in_quotes = 0, False, False
    for place, char in enumerate(source):
        if not in_tag:
            if char == "<":
                start, in_tag, in_quotes = place, True, False
            else:
                kept.append(char)
        elif char == ">" and not in_quotes:
            in_tag = False
        elif char == "<" and not in_quotes:
            kept.append(source[start:place])
            start = place
        elif char == '"':
            in_quotes = not in_quotes
    if in_tag:
        kept.append(source[start:])
    return "".join(kept)


def humanize(form: str, value: Any) -> str:
    """Return a number of bytes (``size``) or a time (``time`` or ``time:LAYOUT``) for people."""
    kind, _, layout = form.partition(":")
    if kind == "size":
        return _size(value)
    if kind == "time":
        return _age(value, layout)
    raise TemplateError(f"humanize knows size and time, not {form!r}")


def _size(value: Any) -> str:
    try:
        size = float(int(value))
    except (ValueError, TypeError):
        raise TemplateError(f"{shown(value)!r} is no size") from None
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{int(size)} B" if unit == "B" else f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"  # fmt: skip
        size /= 1000
    return ""


def _age(value: Any, layout: str) -> str:
    moment = value if isinstance(value, datetime) else _read(shown(value))
    seconds = (now() - moment).total_seconds()
    ending = "ago" if seconds >= 0 else "from now"
    seconds = abs(seconds)
    if seconds < 1:
        return "now"
    unit, name = next((unit, name) for bound, unit, name in _AGES if seconds < bound)
    count = int(seconds // unit)
    return f"{count} {name}{'' if count == 1 else 's'} {ending}"


def _read(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise TemplateError(f"{text!r} is no time")
