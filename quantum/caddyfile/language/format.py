"""``caddy fmt``: tabs for nesting, one space between words, at most one blank line.

Character by character, as Caddy does it: what it makes of odd input is what editors and reviewers
of Caddyfiles expect, and the adapter warns of any other form.
"""

from __future__ import annotations

from enum import Enum, auto

from quantum.caddyfile.language.lexer import MARKER, SPACES

MAX_TABS = 10
"""Deeper nesting is not indented further: braces without end must not make pages of tabs."""

BLANKS = "".join(sorted(SPACES))


class Heredoc(Enum):
    """Where a heredoc stands."""

    CLOSED = auto()
    OPENING = auto()
    OPENED = auto()


def format_text(text: str) -> str:
    """Return ``text`` in the usual form."""
    formatter = Formatter()
    for char in text.strip(BLANKS):
        formatter.feed(char)
    return formatter.finish().strip(BLANKS) + "\n"


def first_difference(text: str) -> int:
    """Return the line where ``text`` first differs from its usual form; 0 when nowhere."""
    body = text.replace("\r\n", "\n")
    formatted = format_text(body)
    if body == formatted:
        return 0
    same = next(
        (i for i, (a, b) in enumerate(zip(body, formatted, strict=False)) if a != b),
        min(len(body), len(formatted)),
    )
    return body.count("\n", 0, same) + 1


class Formatter:
    """Takes characters and writes them in the usual form."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._last = ""
        self._space = True
        self._line_begins = True
        self._brace = False
        self._brace_written = False
        self._brace_spaced = False
        self._newlines = 0
        self._comment = False
        self._quotes = ""
        self._escaped = False
        self._heredoc = Heredoc.CLOSED
        self._heredoc_escaped = False
        self._marker = ""
        self._closing = ""
        self._nesting = 0

    def finish(self) -> str:
        """Return what was written, with the brace that still waits for its place."""
        if self._brace and not self._brace_written:
            self._open_block()
        return "".join(self._out)

    def feed(self, char: str) -> None:
        """Take one character."""
        if self._in_heredoc(char):
            return
        if self._last == "<" and self._space:
            self._space = False
        if self._in_comment(char) or self._after_backslash(char) or self._in_quotes(char):
            return
        if char in SPACES:
            self._space = True
            self._heredoc_escaped = False
            self._newlines += char == "\n"
            return
        self._word(char)

    def _write(self, char: str) -> None:
        self._out.append(char)
        self._last = char

    def _indent(self) -> None:
        for _ in range(self._nesting):
            self._write("\t")

    def _next_line(self) -> None:
        self._write("\n")
        self._line_begins = True

    def _in_heredoc(self, char: str) -> bool:
        """Copy what belongs to a heredoc; return whether ``char`` did."""
        if (
            self._heredoc is Heredoc.CLOSED
            and not self._quotes
            and not self._heredoc_escaped
            and self._space
            and self._last == char == "<"
        ):
            self._write(char)
            self._heredoc = Heredoc.OPENING
            self._space = False
            return True
        if self._heredoc is Heredoc.OPENING:
            return self._in_marker(char)
        return self._heredoc is Heredoc.OPENED and self._in_content(char)

    def _in_marker(self, char: str) -> bool:
        if char == "\n":
            if MARKER.fullmatch(self._marker):
                self._heredoc = Heredoc.OPENED
                self._write(char)
            else:
                self._marker = ""
                self._heredoc = Heredoc.CLOSED
                self._next_line()
            return True
        if char in SPACES:
            self._marker = ""
            self._heredoc = Heredoc.CLOSED
            return False
        self._marker += char
        self._write(char)
        return True

    def _in_content(self, char: str) -> bool:
        self._closing = (self._closing + char)[-len(self._marker) - 1 :]
        if char in SPACES and self._closing[:-1] == self._marker:
            self._marker = self._closing = ""
            self._heredoc = Heredoc.CLOSED
            return False
        self._write(char)
        if char == "\n":
            self._closing = ""
        return True

    def _in_comment(self, char: str) -> bool:
        if not self._comment:
            return False
        if char == "\n":
            self._comment = False
            self._space = True
            self._next_line()
        else:
            self._write(char)
        return True

    def _after_backslash(self, char: str) -> bool:
        if self._escaped:
            self._heredoc_escaped = self._heredoc_escaped or char == "<"
            self._write(char)
            self._escaped = False
            return True
        if char != "\\":
            return False
        if self._space:
            self._write(" ")
            self._space = False
        self._write(char)
        self._escaped = True
        return True

    def _in_quotes(self, char: str) -> bool:
        if char == "`":
            nested = {'"`': '"', "`": "", '"': '"`'}
            self._quotes = nested.get(self._quotes, "`")
        if self._quotes == '"':
            if char == '"':
                self._quotes = ""
            self._write(char)
            return True
        if char == '"':
            if not self._quotes and self._space:
                self._quotes = '"'
            else:
                self._quotes = {'`"': "`", '"`': ""}.get(self._quotes, self._quotes)
        if "`" in self._quotes:
            if char == "`" and self._space and not self._line_begins:
                self._write(" ")
            self._write(char)
            self._space = False
            return True
        return False

    def _word(self, char: str) -> None:
        """Write a character of a word, and what must stand before it."""
        spaced, self._space = self._space, False
        if char == "#":
            self._comment = True
        if self._brace and (spaced or char == "{") and not self._brace_written:
            self._open_block()
        if char == "{":
            self._brace = True
            self._brace_spaced = spaced and not self._line_begins
            if self._brace_spaced and self._newlines == 0:
                self._write(" ")
            self._brace_written = False
        elif char == "}" and (spaced or not self._brace):
            self._close_block()
        else:
            self._plain(char, spaced=spaced)

    def _open_block(self) -> None:
        if self._nesting == 0 and self._last == "}":
            self._next_line()
            self._next_line()
        self._brace = False
        if self._line_begins:
            self._indent()
        elif not self._brace_spaced or self._last not in SPACES:
            self._write(" ")
        self._write("{")
        self._brace_written = True
        self._next_line()
        self._newlines = 0
        self._nesting = min(self._nesting + 1, MAX_TABS)

    def _close_block(self) -> None:
        if self._last != "\n":
            self._next_line()
        self._nesting = max(self._nesting - 1, 0)
        self._indent()
        self._write("}")
        self._newlines = 0

    def _plain(self, char: str, *, spaced: bool) -> None:
        for _ in range(min(self._newlines, 2)):
            self._next_line()
        self._newlines = 0
        if self._line_begins:
            self._indent()
        if self._nesting == 0 and self._last == "}" and self._line_begins:
            self._next_line()
            self._next_line()
        if not self._line_begins and spaced:
            self._write(" ")
        if self._brace and not self._brace_written:
            self._write("{")
            self._brace_written = True
        if spaced and char == "<":
            self._space = True
        self._write(char)
        self._line_begins = False
