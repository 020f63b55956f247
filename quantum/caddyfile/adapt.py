"""The adapter: a Caddyfile's text to the document that ``caddy adapt`` gives."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantum.caddyfile.context import Context, Notice, State
from quantum.caddyfile.directives.table import DIRECTIVES
from quantum.caddyfile.document import build_document
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.format import first_difference
from quantum.caddyfile.language.parser import ReadFiles, ServerBlock, parse
from quantum.caddyfile.modules import matchers
from quantum.caddyfile.modules.matchers import MatcherSet
from quantum.caddyfile.options.table import read_options
from quantum.caddyfile.routes import DEFAULT_ORDER, Groups, Route
from quantum.caddyfile.shorthands import lengthen_segment
from quantum.caddyfile.sites.listeners import pair

DEFAULT_NAME = "Caddyfile"
MAX_FILE_BYTES = 10_000_000
"""An imported file beyond is no configuration."""

Pile = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Adapted:
    """The document, and what its author should know."""

    document: dict[str, Any]
    notices: tuple[Notice, ...]


def adapt(
    text: str,
    *,
    file: str = DEFAULT_NAME,
    environment: Mapping[str, str],
    read_files: ReadFiles | None = None,
) -> Adapted:
    """Adapt ``text``.

    ``environment`` is for ``{$NAME}``; ``read_files`` is how imports are read (the disk unless
    said). CaddyfileError, with Caddy's words, when it is no Caddyfile.
    """
    if not text:
        raise CaddyfileError("EOF")
    blocks = parse(text, file, environment, read_files or read_from_disk)
    state = State(options={}, table=DIRECTIVES, order=list(DEFAULT_ORDER))
    document = _setup(blocks, state)
    line = first_difference(text)
    if line:
        message = (
            "Caddyfile input is not formatted; run 'quantum fmt --overwrite' to fix inconsistencies"
        )
        state.notices.append(Notice(file, line, "", message))
    return Adapted(document, tuple(state.notices))


def read_from_disk(pattern: str) -> list[tuple[str, str]]:
    """Return the files that a path or pattern names, in order, hidden ones left out."""
    if not glob.has_magic(pattern):
        return [(pattern, _read(pattern))] if Path(pattern).exists() else []
    # Not Path.glob: it walks below one folder, and the pattern may stand in any part of the path.
    found = sorted(glob.glob(pattern, include_hidden=True))  # noqa: PTH207
    if Path(pattern).name.startswith("*"):
        found = [path for path in found if not Path(path).name.startswith(".")]
    return [(path, _read(path)) for path in found]


def _read(path: str) -> str:
    if Path(path).is_dir():
        raise CaddyfileError(f"Could not import {path}: is a directory")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise CaddyfileError(f"Could not read imported file {path}: {reason}") from None
    if len(content) > MAX_FILE_BYTES:
        raise CaddyfileError(f"Could not read imported file {path}: too large")
    return content.decode("utf-8", "replace")


def _setup(blocks: list[ServerBlock], state: State) -> dict[str, Any]:
    for block in blocks:
        _check_keys(block, state)
    if blocks and not blocks[0].keys:
        read_options(blocks[0], state)
        blocks = blocks[1:]
    blocks = _take_named_routes(blocks, state)
    groups = Groups()
    piled = [(block, _evaluate(block, state, groups)) for block in blocks]
    return build_document(pair(piled, state.options), state, groups)


def _check_keys(block: ServerBlock, state: State) -> None:
    for key in block.keys:
        if key.text in state.table and not block.is_named_route:
            raise CaddyfileError(
                f"{key.file}:{key.line}: parsed '{key.text}' as a site address, but it is a known "
                "directive; directives must appear in a site block"
            )


def _take_named_routes(blocks: list[ServerBlock], state: State) -> list[ServerBlock]:
    """Read the named routes; return the other blocks."""
    groups = Groups()
    named: dict[str, tuple[Route, list[str]]] = {}
    for block in blocks:
        if not block.is_named_route:
            continue
        segment = lengthen_segment([token for found in block.segments for token in found])
        context = Context(Dispenser(segment), state, groups, {}, _files(block))
        found = context.subroute()
        name = block.keys[0].text
        if name in named:
            raise CaddyfileError(f"redeclaration of named route: {name}")
        if len(found.routes) == 1 and not found.routes[0].match:
            route = Route(None, found.routes[0].handle[:1])
        else:
            route = Route(None, [found.handler()])
        named[name] = route, sorted(state.invoked)
        state.invoked.clear()
    state.options["named_routes"] = named
    return [block for block in blocks if not block.is_named_route]


def _files(block: ServerBlock) -> tuple[str, ...]:
    """Return the files that a block was read from."""
    tokens = [*block.keys, *(token for segment in block.segments for token in segment)]
    return tuple(sorted({token.file for token in tokens}))


def _evaluate(block: ServerBlock, state: State, groups: Groups) -> Pile:
    """Read the directives of a site."""
    if not block.keys:
        raise CaddyfileError(
            "server block without any key is global configuration, and if used, it must be first"
        )
    block.segments = [lengthen_segment(segment) for segment in block.segments]
    known = _matchers(block)
    pile: Pile = {}
    files = _files(block)
    for segment in block.segments:
        name = segment[0].text
        if name.startswith("@"):
            continue
        read = state.table.get(name)
        if read is None:
            raise CaddyfileError(_unrecognized(block, segment[0].file, segment[0].line, name))
        try:
            values = read(Context(Dispenser(segment), state, groups, known, files))
        except CaddyfileError as error:
            raise CaddyfileError(
                f"parsing caddyfile tokens for '{name}': {error.problem}"
            ) from None
        for value in values:
            value.directive = {"handle_path": "handle"}.get(name, name)
            is_route = value.kind == "route"
            pile.setdefault(value.kind, []).append(value if is_route else value.value)
        for route in sorted(state.invoked):
            pile.setdefault("named_route", []).append(route)
        state.invoked.clear()
    return pile


def _matchers(block: ServerBlock) -> dict[str, MatcherSet]:
    known: dict[str, MatcherSet] = {}
    for segment in block.segments:
        if segment[0].text.startswith("@"):
            matchers.define(Dispenser(segment), known)
    return known


def _unrecognized(block: ServerBlock, file: str, line: int, name: str) -> str:
    message = f"{file}:{line}: unrecognized directive: {name}"
    if not block.has_braces:
        message += (
            "\nDid you mean to define a second site? If so, you must use curly braces around each "
            "site to separate their configurations."
        )
    return message
