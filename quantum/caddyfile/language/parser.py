"""Tokens to server blocks: addresses and directives, snippets and named routes taken aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.environment import replace_variables
from quantum.caddyfile.language.imports import Importer, ImportGraph
from quantum.caddyfile.language.lexer import tokenize
from quantum.caddyfile.language.tokens import Segment, Token, begins_line

ReadFiles = Callable[[str], list[tuple[str, str]]]
"""From a path or pattern to the files it names: (path, text) each."""

MAX_DEPTH = 200
"""Imports inside imports: the graph refuses cycles, this refuses chains nobody would write."""


@dataclass(slots=True)
class ServerBlock:
    """Addresses and what stands below them; no addresses are the global options."""

    keys: list[Token] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    has_braces: bool = False
    is_named_route: bool = False


def parse(
    text: str, file: str, environment: Mapping[str, str], read_files: ReadFiles
) -> list[ServerBlock]:
    """Return the server blocks of a Caddyfile; CaddyfileError where it is none."""
    source = replace_variables(text, environment)
    return Parser(tokenize(source, file), environment, read_files).parse()


class Parser(Dispenser):
    """Reads server blocks; imports are replaced by their tokens on the way."""

    def __init__(
        self, tokens: list[Token], environment: Mapping[str, str], read_files: ReadFiles
    ) -> None:
        super().__init__(tokens)
        self.environment = environment
        self.read_files = read_files
        self.snippets: dict[str, list[Token]] = {}
        self.graph = ImportGraph()
        self._block = ServerBlock()
        self._at_end = False

    def parse(self) -> list[ServerBlock]:
        """Return all server blocks."""
        blocks = []
        while self.next():
            self._block = ServerBlock()
            self._begin()
            if self._block.keys or self._block.segments:
                blocks.append(self._block)
            if self.nesting > 0:
                raise self.eof_error()
        return blocks

    def begins_line(self) -> bool:
        """Whether the current token is the first of its line."""
        if self.cursor < 1:
            return True
        return begins_line(self.tokens[self.cursor - 1], self.token)

    def ends_line(self) -> bool:
        """Whether the current token is the last of its line."""
        if self.cursor >= len(self.tokens) - 1:
            return True
        return begins_line(self.token, self.tokens[self.cursor + 1])

    def _begin(self) -> None:
        self._addresses()
        if self._at_end:
            return
        keys = self._block.keys
        name = keys[0].text if len(keys) == 1 else ""
        if name.startswith("&(") and name.endswith(")"):
            self._named_route(name[2:-1])
        elif name.startswith("(") and name.endswith(")"):
            self._snippet(name[1:-1])
        else:
            self._contents()

    def _named_route(self, name: str) -> None:
        token = self.token.but(name)
        self._block.keys = [token]
        self._block.is_named_route = True
        self._block.segments = [[token, *self._braced(keep=True)]]

    def _snippet(self, name: str) -> None:
        if name in self.snippets:
            raise self.error(f"redeclaration of previously declared snippet {name}")
        tokens = self._braced(keep=False)
        self.snippets[name] = [
            Token(t.text, t.file, t.line, t.quote, name, t.imports) for t in tokens
        ]
        self._block.keys = []

    def _addresses(self) -> None:
        expects = False
        while True:
            token = self.token
            if token.text.startswith("@"):
                raise self.error(
                    "request matchers may not be defined globally, they must be in a site block; "
                    f"found {token.text}"
                )
            if token.text == "import" and self.begins_line():
                self.do_import(0)
                self._advance_after_import()
                if self._at_end:
                    return
                continue
            if self.is_open_brace():
                if expects:
                    raise self.error(
                        f"Expected another address but had '{token.text}' - check for extra comma"
                    )
                self._block.has_braces = True
                return
            expects = self._address(token, expects)
            if not self.next():
                if expects:
                    raise self.eof_error()
                self._at_end = True
                return
            if not expects and self.begins_line():
                return

    def _advance_after_import(self) -> None:
        """Stand on the first imported token."""
        if self.cursor < 0 or self.cursor >= len(self.tokens):
            self._at_end = not self.next()

    def _address(self, token: Token, expects: bool) -> bool:
        """Take an address; return whether a comma promises another."""
        value = token.text
        if value.endswith("{"):
            raise self.error(
                f"Site addresses cannot end with a curly brace: '{value}' - put a space between "
                "the token and the brace"
            )
        if not value:
            return expects
        expects = value.endswith(",")
        value = value.removesuffix(",")
        if "," in value:
            raise self.error(
                f"Site addresses cannot contain a comma ',': '{value}' - put a space after the "
                "comma to separate site addresses"
            )
        if value:
            self._block.keys.append(token.but(value))
        return expects

    def _contents(self) -> None:
        braced = self.is_open_brace()
        if not braced:
            self.cursor -= 1
        self._directives()
        if braced and not self.is_close_brace():
            raise self.syntax_error("}")

    def _directives(self) -> None:
        while self.next():
            if self.is_close_brace():
                return
            if self.val == "import":
                self.do_import(1)
                self.cursor -= 1
                continue
            self._directive()

    def _directive(self) -> None:
        segment = [self.token]
        while self.next():
            if self.is_open_brace():
                self._open_block()
            elif self.val == "{}":
                if self.ends_line() and not self.token.is_quoted:
                    raise self.error("Unexpected '{}' at end of line")
            elif self.begins_line() and self.nesting == 0:
                self.cursor -= 1
                break
            elif self.is_close_brace():
                if self.nesting == 0:
                    raise self.error("Unexpected '}' because no matching opening brace")
                self.nesting -= 1
            elif self.val == "import" and self.begins_line():
                self.do_import(1)
                self.cursor -= 1
                continue
            segment.append(self.token)
        self._block.segments.append(segment)
        if self.nesting > 0:
            raise self.eof_error()

    def _open_block(self) -> None:
        self.nesting += 1
        if not self.ends_line():
            raise self.error("Unexpected next token after '{' on same line")
        if self.begins_line():
            raise self.error(
                "Unexpected '{' on a new line; did you mean to place the '{' on the previous line?"
            )

    def _braced(self, *, keep: bool) -> list[Token]:
        """Take the tokens of the block that opens here, with its braces if ``keep``."""
        if not self.is_open_brace():
            raise self.syntax_error("{")
        tokens = [self.token] if keep else []
        depth = 1
        while self.next():
            if self.is_close_brace():
                depth -= 1
                if depth == 0:
                    break
            elif self.is_open_brace():
                depth += 1
            tokens.append(self.token)
        if depth:
            raise self.syntax_error("}")
        return [*tokens, self.token] if keep else tokens

    def do_import(self, nesting: int) -> None:
        """Put the imported tokens in the place of the ``import`` and stand on the first."""
        start = self.cursor
        importer = Importer(self, nesting)
        if len(self.token.imports) > MAX_DEPTH:
            raise self.error("imports are nested too deeply")
        tokens = importer.read()
        self.tokens[start : self.cursor + 1] = tokens
        self.cursor = start

    def import_files(self, pattern: str) -> tuple[list[Token], list[str]]:
        """Return the tokens of the files that ``pattern`` names, and their paths."""
        tokens: list[Token] = []
        paths: list[str] = []
        try:
            found = self.read_files(pattern)
        except CaddyfileError as error:
            raise self.error(error.problem) from None
        for path, text in found:
            paths.append(path)
            tokens += tokenize(replace_variables(text, self.environment), path)
        return tokens, paths
