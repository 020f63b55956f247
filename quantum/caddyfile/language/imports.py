"""``import``: what it names, what is replaced in it, and which imports would never end."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.tokens import Token, begins_line

if TYPE_CHECKING:
    from quantum.caddyfile.language.parser import Parser

PLACEHOLDER = re.compile(r"\{args(?:\[([^\[\]{}]*)\]|\.([^{}]*))\}")
VARIADIC = re.compile(r"\{args\[([^\]:]*):([^\]]*)\]\}")
INTEGER = re.compile(r"[+-]?\d+")


class ImportGraph:
    """Which file or snippet imports which."""

    def __init__(self) -> None:
        self._edges: dict[str, list[str]] = {}

    def add(self, source: str, targets: list[str]) -> None:
        """Note that ``source`` imports ``targets``; CaddyfileError for a cycle."""
        for target in targets:
            if source == target or self._reaches(target, source):
                raise CaddyfileError(f"a cycle of imports exists between {source} and {target}")
            self._edges.setdefault(source, []).append(target)

    def _reaches(self, start: str, goal: str) -> bool:
        waiting, seen = [start], {start}
        while waiting:
            for target in self._edges.get(waiting.pop(), ()):
                if target == goal:
                    return True
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return False


class Importer:
    """One ``import`` statement; the parser stands on that word."""

    def __init__(self, parser: Parser, nesting: int) -> None:
        self._parser = parser
        self._nesting = nesting
        self._args: list[str] = []
        self._block: list[Token] = []
        self._parts: dict[str, list[Token]] = {}

    def read(self) -> list[Token]:
        """Return the tokens to put in place; the parser stands on the statement's last token."""
        parser = self._parser
        if not parser.next_arg():
            raise parser.arg_error()
        pattern = parser.val
        if not pattern:
            raise parser.error("Import requires a non-empty filepath")
        self._args = parser.rest()
        self._read_block()
        tokens = parser.snippets.get(pattern)
        if tokens is not None:
            nodes = [f"{tokens[0].file}:{tokens[0].snippet}"] if tokens else []
        else:
            tokens, nodes = self._files(pattern)
        here = parser.token
        source = parser.file + (f":{here.snippet}" if here.snippet else "")
        parser.graph.add(source, nodes)
        return self._filled(tokens)

    def _read_block(self) -> None:
        parser = self._parser
        for _ in parser.block():
            self._block.append(parser.token)
        parts = Dispenser(self._block)
        while parts.next():
            key = parts.val
            if key == "{":
                raise parser.error("anonymous blocks are not supported")
            tokens = parts.rest_tokens()
            for _ in parts.block():
                tokens.append(parts.token)
            self._parts[key] = tokens

    def _files(self, pattern: str) -> tuple[list[Token], list[str]]:
        parser = self._parser
        base = Path(parser.file).absolute().parent
        path = os.path.normpath(base / pattern)
        if path.count("*") > 1 or path.count("?") > 1 or ("[" in path and "]" in path):
            raise parser.error(
                f"Glob pattern may only contain one wildcard (*), but has others: {path}"
            )
        tokens, paths = parser.import_files(path)
        if not paths and not any(char in path for char in "*?[]"):
            raise parser.error(f"File to import not found: {pattern}")
        return tokens, paths

    def _filled(self, tokens: list[Token]) -> list[Token]:
        """Return the tokens with arguments and blocks put in, marked with where they came from."""
        parser = self._parser
        place = f"{parser.file}:{parser.line} (import"
        made: list[Token] = []
        inner = SnippetWatch(self._nesting)
        for raw in tokens:
            chain = f"{place} {raw.snippet})" if raw.snippet else f"{place})"
            token = replace(raw, imports=(*raw.imports, chain))
            inside_snippet = inner.sees(made[-1] if made else None, token)
            block = self._block_for(token)
            if block is not None:
                made += block
            elif inside_snippet:
                made.append(token)
            else:
                made += self._with_arguments(token)
        return made

    def _block_for(self, token: Token) -> list[Token] | None:
        """Return what a block's placeholder stands for; None for any other token."""
        text = token.text
        if text == "{block}":
            return self._block
        if text.startswith("{blocks.") and text.endswith("}"):
            return self._parts.get(text[len("{blocks.") : -1], [])
        return None

    def _with_arguments(self, token: Token) -> list[Token]:
        if (span := self._variadic(token.text)) is not None:
            return [token.but(arg) for arg in self._args[span[0] : span[1]]]
        return [token.but(PLACEHOLDER.sub(self._argument, token.text))]

    def _argument(self, found: re.Match[str]) -> str:
        index = found[1] if found[1] is not None else found[2]
        if INTEGER.fullmatch(index) is None:
            return found[0]
        number = int(index)
        return self._args[number] if 0 <= number < len(self._args) else found[0]

    def _variadic(self, text: str) -> tuple[int, int] | None:
        """Return the span of ``{args[a:b]}``; None when it is none, or out of range."""
        found = VARIADIC.fullmatch(text)
        if found is None:
            return None
        count = len(self._args)
        ends = []
        for written, default in ((found[1], 0), (found[2], count)):
            if written and INTEGER.fullmatch(written) is None:
                return None
            ends.append(int(written) if written else default)
        start, end = ends
        return (start, end) if 0 <= start <= end <= count else None


class SnippetWatch:
    """Tells whether a token belongs to a snippet that is defined in an imported file.

    Its arguments are those of its own import, later; nothing is replaced in it now.
    """

    def __init__(self, nesting: int) -> None:
        self._nesting = nesting
        self._index = 0
        self._named = False
        self._inside = False

    def sees(self, before: Token | None, token: Token) -> bool:
        """Take the next token into account; return whether it is inside a definition."""
        if not self._inside and self._nesting == 0:
            starts = before is None or begins_line(before, token)
            self._index = 0 if starts else self._index + 1
            text = token.text
            if starts and len(text) > 2 and text[0] == "(" and text[-1] == ")":
                self._named = True
        if token.text == "{":
            self._nesting += 1
            if self._index == 1 and self._named and self._nesting == 1:
                self._inside, self._named = True, False
        elif token.text == "}":
            self._nesting -= 1
            if self._nesting == 0 and self._inside:
                self._inside = False
        return self._inside
