"""A word of a Caddyfile, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

HEREDOC = "<"
"""The quote of a token that was a heredoc."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word. ``imports`` is the chain of imports that brought it here, outermost first."""

    text: str
    file: str = ""
    line: int = 0
    quote: str = ""
    snippet: str = ""
    imports: tuple[str, ...] = ()

    @property
    def is_quoted(self) -> bool:
        """Whether the word stood in quotes, backticks or a heredoc."""
        return self.quote != ""

    @property
    def last_line(self) -> int:
        """The line on which the token ends."""
        # A heredoc's opening line and the line break before its end are no part of the text.
        return self.line + self.text.count("\n") + (2 if self.quote == HEREDOC else 0)

    def but(self, text: str) -> Token:
        """Return the same token with another text."""
        return replace(self, text=text)


def begins_line(before: Token, token: Token) -> bool:
    """Return whether ``token`` is on another line than the one ``before`` it."""
    if before.file != token.file or before.imports != token.imports:
        return True
    return before.last_line < token.line


Segment = list[Token]
"""A directive with its arguments and its block."""
