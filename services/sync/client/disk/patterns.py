"""What takes part: patterns in gitignore's syntax, names a share can have, nothing of our own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from quantum.errors import ConfigError
from services.sync.client.planning.model import ancestors
from services.sync.share.paths import PathRefused, parse_path

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".quantumignore"
"""Patterns of the folder itself, beside ``--exclude``; it is synced like any file."""


class Patterns:
    """Decides whether a path takes part."""

    def __init__(self, include: Sequence[str] = (), exclude: Iterable[str] = ()) -> None:
        """With ``include`` only what matches it (and what is below) takes part; ``exclude`` wins."""
        try:
            self._include = _compile(include)
            self._exclude = _compile(exclude)
        except ValueError as error:
            raise ConfigError("", f"a pattern: {error}", "see gitignore(5)") from error
        self._known: dict[str, bool] = {}

    def takes(self, path: str, *, is_directory: bool) -> bool:
        """Whether a path takes part. A directory does when something below it might."""
        if self._exclude is None:
            return self._is_included(path, is_directory=is_directory)
        if any(self._is_excluded(above + "/") for above in ancestors(path)):
            return False
        if self._exclude.match_file(path + "/" if is_directory else path):
            return False
        return self._is_included(path, is_directory=is_directory)

    def _is_included(self, path: str, *, is_directory: bool) -> bool:
        return self._include is None or is_directory or bool(self._include.match_file(path))

    def _is_excluded(self, directory: str) -> bool:
        known = self._known.get(directory)
        if known is None:
            assert self._exclude is not None
            known = self._known[directory] = bool(self._exclude.match_file(directory))
        return known


def _compile(lines: Iterable[str]) -> GitIgnoreSpec | None:
    lines = list(lines)
    if not lines:
        return None
    from pathspec import GitIgnoreSpec  # late: most folders have no patterns

    return GitIgnoreSpec.from_lines(lines)


def refusal_of(path: str) -> str:
    """Return why a share cannot have a path and what to do about it, "" when it can."""
    try:
        parsed = parse_path(path)
    except PathRefused as error:
        return f"{error}: rename it, or exclude it"
    return "" if parsed == path else "the name is not in Unicode's NFC: rename it"
