"""Characters to tokens: quotes, backticks, heredocs, comments, escaped line ends."""

from __future__ import annotations

import re

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.tokens import HEREDOC, Token

MARKER = re.compile(r"[A-Za-z0-9_-]+")
BOM = "\ufeff"
SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
"""Unicode's White_Space, which is what Go calls space; Python counts four control characters in."""


def tokenize(text: str, file: str) -> list[Token]:
    """Return the tokens of ``text``; CaddyfileError for a heredoc that is not well formed."""
    lexer = Lexer(text, file)
    tokens: list[Token] = []
    while (token := lexer.read()) is not None:
        tokens.append(token)
    return tokens


class Lexer:
    """Reads one token after the other; ``line`` is where it stands."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text.removeprefix(BOM)
        self._file = file
        self._at = 0
        self.line = 1
        self._skipped = 0  # line ends inside the current logical line

    def read(self) -> Token | None:
        """Return the next token, None at the end."""
        start = self._skip_blanks()
        if self._at >= len(self._text):
            # A lone backslash at the very end is no token.
            return None
        line = self.line
        char = self._text[self._at]
        if not start and char in '"`':
            self._at += 1
            return self._quoted(char, line)
        return self._word(line, escaped=start)

    def _skip_blanks(self) -> bool:
        """Go to the next token; return whether a backslash stands before it."""
        text, escaped, comment = self._text, False, False
        while self._at < len(text):
            char = text[self._at]
            if char == "\\" and not escaped:
                escaped = True
            elif char in SPACES:
                if char == "\n":
                    escaped = self._end_line(escaped)
                    comment = False
            elif char == "#" or comment:
                comment = True
            else:
                return escaped
            self._at += 1
        return escaped

    def _end_line(self, escaped: bool) -> bool:
        if escaped:
            self._skipped += 1
        else:
            self.line += 1 + self._skipped
            self._skipped = 0
        return False

    def _quoted(self, quote: str, line: int) -> Token | None:
        text, value, escaped = self._text, [], False
        while self._at < len(text):
            char = text[self._at]
            self._at += 1
            if char == "\\" and quote == '"' and not escaped:
                escaped = True
                continue
            if escaped:
                if char != '"':
                    value.append("\\")
                escaped = False
            elif char == quote:
                return Token("".join(value), self._file, line, quote)
            if char == "\n":
                self.line += 1 + self._skipped
                self._skipped = 0
            value.append(char)
        # The end of the file closes a quote; an empty one is then no token.
        return Token("".join(value), self._file, line) if value else None

    def _word(self, line: int, escaped: bool) -> Token | None:
        text, plain = self._text, False
        value: list[str] = []
        while self._at < len(text):
            char = text[self._at]
            if not plain and value[:2] == ["<", "<"]:
                return self._heredoc(line)
            self._at += 1
            if char == "\\" and not escaped:
                escaped = True
                continue
            if char in SPACES:
                if char == "\r":
                    continue
                if char == "\n":
                    self._end_line(escaped)
                return Token("".join(value), self._file, line)
            if escaped:
                if char == "<":
                    plain = True
                else:
                    value.append("\\")
                escaped = False
            value.append(char)
        return Token("".join(value), self._file, line) if value else None

    def _heredoc(self, line: int) -> Token | None:
        """Read what follows ``<<``: a marker and its text, or a plain word after all."""
        text, begin = self._text, self._at
        while self._at < len(text) and text[self._at] not in " \n":
            self._at += 1
        marker = text[begin : self._at].replace("\r", "")
        if self._at >= len(text) or text[self._at] == " ":
            self._at += 1
            return Token("<<" + marker, self._file, line)
        self._at += 1
        self._check_marker(marker)
        self._skipped += 1
        begin = self._at
        end = text.find(marker, begin)
        if end < 0:
            if begin == len(text):
                return None
            at = self.line + self._skipped + text.count("\n", begin)
            raise CaddyfileError(
                f"incomplete heredoc <<{marker} on line #{at}, expected ending marker {marker}"
            )
        self._at = end + len(marker)
        self._skipped += text.count("\n", begin, end)
        content = self._unindent(text[begin:end], marker)
        self.line += self._skipped
        self._skipped = 0
        return Token(content, self._file, line, HEREDOC)

    def _check_marker(self, marker: str) -> None:
        if not marker:
            raise CaddyfileError(
                f"missing opening heredoc marker on line #{self.line}; must contain only "
                "alphanumeric characters, dashes and underscores; got empty string"
            )
        if marker.startswith("<"):
            raise CaddyfileError(
                f"too many '<' for heredoc on line #{self.line}; only use two, for example <<END"
            )
        if MARKER.fullmatch(marker) is None:
            raise CaddyfileError(
                f"heredoc marker on line #{self.line} must contain only alphanumeric characters, "
                f"dashes and underscores; got '{marker}'"
            )

    def _unindent(self, content: str, marker: str) -> str:
        """Strip from every line what stands before the closing marker."""
        *lines, padding = content.split("\n")
        kept = []
        for number, line in enumerate(lines, 1):
            if line in {"", "\r"}:
                kept.append("")
                continue
            if not line.startswith(padding):
                raise CaddyfileError(
                    f"mismatched leading whitespace in heredoc <<{marker} on line "
                    f"#{self.line + number} [{line}], expected whitespace [{padding}] "
                    "to match the closing marker"
                )
            kept.append(line[len(padding) :].replace("\r", ""))
        return "\n".join(kept)
