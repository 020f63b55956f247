"""A cursor over tokens: arguments of a line, lines of a block, errors that say where.

The moves are Caddy's, oddities included: what a directive accepts depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.tokens import Segment, Token, begins_line

NOWHERE = Token("")


class Dispenser:
    """Hands out tokens. ``matcher`` is the name of the matcher being defined, without "@"."""

    def __init__(self, tokens: Sequence[Token], matcher: str = "") -> None:
        self.tokens = list(tokens)
        self.cursor = -1
        self.nesting = 0
        self.matcher = matcher

    # Where it stands.

    @property
    def token(self) -> Token:
        """The current token; an empty one before the first."""
        if 0 <= self.cursor < len(self.tokens):
            return self.tokens[self.cursor]
        return NOWHERE

    @property
    def val(self) -> str:
        """The text of the current token."""
        return self.token.text

    @property
    def line(self) -> int:
        """The line of the current token."""
        return self.token.line

    @property
    def file(self) -> str:
        """The file of the current token."""
        return self.token.file

    # Moving.

    def next(self) -> bool:
        """Go to the next token, wherever it is."""
        if self.cursor < len(self.tokens) - 1:
            self.cursor += 1
            return True
        return False

    def prev(self) -> None:
        """Go back one token."""
        if self.cursor > -1:
            self.cursor -= 1

    def reset(self) -> None:
        """Go back to before the first token."""
        self.cursor = -1
        self.nesting = 0

    def delete(self) -> None:
        """Take the current token out and stand on the one before it."""
        if 0 <= self.cursor < len(self.tokens):
            del self.tokens[self.cursor]
            self.cursor -= 1

    def next_arg(self) -> bool:
        """Go to the next argument of this line."""
        if not self._next_on_line():
            return False
        if self.is_open_brace():
            self.cursor -= 1
            return False
        return True

    def _next_on_line(self) -> bool:
        if self.cursor < 0:
            self.cursor += 1
            return self.cursor < len(self.tokens)
        if self.cursor >= len(self.tokens) - 1:
            return False
        if begins_line(self.tokens[self.cursor], self.tokens[self.cursor + 1]):
            return False
        self.cursor += 1
        return True

    def next_line(self) -> bool:
        """Go to the next token if it begins a line."""
        if self.cursor < 0:
            return self.next()
        if self.cursor >= len(self.tokens) - 1:
            return False
        if begins_line(self.tokens[self.cursor], self.tokens[self.cursor + 1]):
            self.cursor += 1
            return True
        return False

    def is_open_brace(self) -> bool:
        """Whether a block opens here; a quoted brace is text."""
        return self.token.text == "{" and not self.token.is_quoted

    def is_close_brace(self) -> bool:
        """Whether a block closes here."""
        return self.token.text == "}" and not self.token.is_quoted

    def next_block(self, nesting: int) -> bool:
        """Go to the next line of the block that opens at level ``nesting``."""
        if self.nesting > nesting:
            if not self.next():
                return False
            if self.is_close_brace() and not self._next_on_line():
                self.nesting -= 1
            elif self.is_open_brace() and not self._next_on_line():
                self.nesting += 1
            return self.nesting > nesting
        if not self._next_on_line():
            return False
        if not self.is_open_brace():
            self.cursor -= 1
            return False
        self.next()
        if self.is_close_brace():
            return False
        self.nesting += 1
        return True

    def block(self) -> Iterator[str]:
        """Yield the first word of each line of the block that opens here."""
        nesting = self.nesting
        while self.next_block(nesting):
            yield self.val

    # Taking several.

    def rest_tokens(self) -> list[Token]:
        """Take the remaining arguments of this line."""
        found = []
        while self.next_arg():
            found.append(self.token)
        return found

    def rest(self) -> list[str]:
        """Take the texts of the remaining arguments of this line."""
        return [token.text for token in self.rest_tokens()]

    def count_rest(self) -> int:
        """Return how many arguments remain on this line."""
        at = self.cursor
        count = len(self.rest_tokens())
        self.cursor = at
        return count

    def arg(self) -> str:
        """Take one argument; an error without."""
        if not self.next_arg():
            raise self.arg_error()
        return self.val

    def only(self) -> str:
        """Take one argument, which must be the last."""
        value = self.arg()
        self.no_more()
        return value

    def exactly(self, count: int) -> list[str]:
        """Take ``count`` arguments, which must be all there are."""
        found = [self.arg() for _ in range(count)]
        self.no_more()
        return found

    def some(self) -> list[str]:
        """Take the remaining arguments; an error when there is none."""
        found = self.rest()
        if not found:
            raise self.arg_error()
        return found

    def no_more(self) -> None:
        """Refuse a further argument."""
        if self.next_arg():
            raise self.arg_error()

    def segment(self) -> Segment:
        """Take the current token, its arguments and its block."""
        found = [self.token, *self.rest_tokens()]
        opened = False
        nesting = self.nesting
        while self.next_block(nesting):
            if not opened:
                found.append(self.tokens[self.cursor - 1])
                opened = True
            found.append(self.token)
        if opened:
            found.append(self.token)
        return found

    def fork(self) -> Dispenser:
        """Return a dispenser over the current segment, which is taken."""
        return Dispenser(self.segment(), self.matcher)

    # Errors.

    def error(self, message: str) -> CaddyfileError:
        """Return the error ``message`` with this place."""
        shown = f" import chain {self._chain()}" if self.token.imports else ""
        return CaddyfileError(f"{message}, at {self.file}:{self.line}{shown}")

    def arg_error(self) -> CaddyfileError:
        """Return the error for an argument that is missing or one too many."""
        if self.val == "{":
            return self.error("unexpected token '{', expecting argument")
        return self.error(f"wrong argument count or unexpected line ending after '{self.val}'")

    def syntax_error(self, expected: str) -> CaddyfileError:
        """Return the error for another token than the expected one."""
        return CaddyfileError(
            f"syntax error: unexpected token '{self.val}', expecting '{expected}', at "
            f"{self.file}:{self.line} import chain: {self._chain()}"
        )

    def _chain(self) -> str:
        links = "','".join(self.token.imports)
        return f"['{links}']"

    def eof_error(self) -> CaddyfileError:
        """Return the error for a file that ends too early."""
        return self.error("unexpected EOF")
