"""From a file to a document: reading, JSON errors that name a place, ``@id``.

A document is what ``json`` makes of the text, with two differences: an object that repeats a key is
refused (the last would win in silence, and the first was meant as often), and so are NaN and
Infinity, which are no JSON. ``@id`` marks an object for the admin API's ``/id/``; models never see it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from quantum.errors import ConfigError

MAX_DOCUMENT_BYTES = 100_000_000
"""The same as the admin API accepts (Caddy's limit): a larger file is no configuration."""

Steps = tuple[str | int, ...]
"""A place in a document: keys and indices from the top."""


def load_file(path: Path) -> Any:
    """Return the document in ``path`` ("-" is standard input); ConfigError when it is none."""
    return parse_json(_read(path), str(path))


def load_text(path: Path) -> str:
    """Return the text in ``path`` ("-" is standard input); ConfigError when it is none."""
    content = _read(path)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ConfigError("", f"{path}: larger than {MAX_DOCUMENT_BYTES // 10**6} MB")
    return decode_text(content, str(path))


def decode_text(content: bytes, source: str) -> str:
    """Return UTF-8 as text; ConfigError names the line where it is none."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError("", f"{source}:{line}: not UTF-8 text") from error


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigError("", f"{path}: {reason}", "check the path given with --config") from error


def parse_json(content: bytes, source: str) -> Any:
    """Return the JSON of ``content``; ConfigError says ``source:line:column`` where it is broken."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ConfigError("", f"{source}: larger than {MAX_DOCUMENT_BYTES // 10**6} MB")
    repeated: list[tuple[int, str]] = []
    kept: list[dict[str, Any]] = []

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            kept.append(made)
            repeated.append((id(made), _first_repeated(pairs)))
        return made

    try:
        document = json.loads(
            decode_text(content, source),
            object_pairs_hook=make_object,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        place = f"{source}:{error.lineno}:{error.colno}"
        raise ConfigError("", f"{place}: {_explain(error)}") from error
    except RecursionError as error:
        raise ConfigError("", f"{source}: nested too deeply") from error
    if repeated:
        _refuse_repeated(document, dict(repeated))
    return document


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _refuse_constant(name: str) -> None:
    raise ConfigError("", f"{name} is not JSON", "write a number")


def _explain(error: json.JSONDecodeError) -> str:
    """Say what the decoder means: it names what it missed, not what is there."""
    rest = error.doc[error.pos :].lstrip()
    if not rest:
        return "the file ends in the middle of a value"
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if error.msg.startswith(("Expecting property name", "Illegal trailing comma")):
        return "a key in double quotes must stand here (is there a comma too many?)"
    return error.msg[0].lower() + error.msg[1:]


def _refuse_repeated(document: Any, repeated: dict[int, str]) -> None:
    """Raise for the first object (in the order of the text) that repeats a key, with its path."""
    for steps, value in walk(document):
        key = repeated.get(id(value))
        if key is not None:
            raise ConfigError(json_path((*steps, key)), f"key {key!r} is given twice", "keep one")


def walk(document: Any) -> list[tuple[Steps, Any]]:
    """Return every object and array of ``document`` with its place, outer ones first."""
    found: list[tuple[Steps, Any]] = []
    waiting: list[tuple[Steps, Any]] = [((), document)]
    while waiting:
        steps, value = waiting.pop()
        if isinstance(value, dict):
            found.append((steps, value))
            waiting += [((*steps, key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            found.append((steps, value))
            waiting += [((*steps, index), value[index]) for index in reversed(range(len(value)))]
    return found


def json_path(steps: Steps) -> str:
    """Return the written form of a place: ``apps.http.servers.srv0.listen[0]``."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def index_ids(document: Any) -> dict[str, Steps]:
    """Return the place of every object that holds ``@id``; ConfigError when two share one."""
    found: dict[str, Steps] = {}
    for steps, value in walk(document):
        if not isinstance(value, dict) or "@id" not in value:
            continue
        name, path = value["@id"], json_path((*steps, "@id"))
        if isinstance(name, bool) or not isinstance(name, str | int | float) or name == "":
            raise ConfigError(path, "must be a string or a number")
        if str(name) in found:
            first = json_path(found[str(name)])
            raise ConfigError(path, f"id {name!r} is also that of {first}", "ids must be unique")
        found[str(name)] = steps
    return found


def without_ids(document: Any) -> Any:
    """Return a copy of ``document`` in which no object holds ``@id``."""
    if isinstance(document, dict):
        return {key: without_ids(item) for key, item in document.items() if key != "@id"}
    if isinstance(document, list):
        return [without_ids(item) for item in document]
    return document
