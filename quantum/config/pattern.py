"""Regular expressions of a configuration: RE2, as in Go, so that a pattern costs linear time always.

The only door to the ``re2`` package. Texts may carry surrogate escapes (bytes that are no UTF-8).
Replacement templates are Go's: ``$1``, ``${1}``, ``${name}``, ``$$``; an unknown group is empty.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import re2  # type: ignore[import-untyped]
from pydantic import AfterValidator

_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False  # a wrong pattern is told to who wrote it, not to stderr
    return options


_OPTIONS = _options()


class Pattern:
    """One compiled expression. ValueError when it is no RE2 expression."""

    __slots__ = ("_compiled", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = re2.compile(text.encode(), _OPTIONS)
        except re2.error as error:
            reason = error.args[0]
            reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
            raise ValueError(f"not a regular expression (RE2 syntax): {reason}") from None
        self.names: dict[str, int] = {
            name.decode() if isinstance(name, bytes) else name: index
            for name, index in self._compiled.groupindex.items()
        }

    def is_in(self, text: str) -> bool:
        """Whether the expression matches somewhere in ``text``."""
        return self._compiled.search(text.encode("utf-8", "surrogateescape")) is not None

    def search(self, text: str) -> list[str] | None:
        """Return the groups of the first match, the whole match first; None without one."""
        match = self._compiled.search(text.encode("utf-8", "surrogateescape"))
        if match is None:
            return None
        return [_text(match.group(index)) for index in range(self._compiled.groups + 1)]

    def expand(self, text: str, template: str) -> str | None:
        """Return ``template`` filled with the groups of the first match; None without one."""
        match = self._compiled.search(text.encode("utf-8", "surrogateescape"))
        return None if match is None else _text(self._expand(match, template))

    def replace(self, text: str, template: str) -> str:
        """Return ``text`` with every match replaced by ``template``."""
        data = text.encode("utf-8", "surrogateescape")
        return _text(self._compiled.sub(lambda match: self._expand(match, template), data))

    def replace_bytes(self, data: bytes, template: str) -> bytes:
        """Return ``data`` with every match replaced by ``template``."""
        replaced: bytes = self._compiled.sub(lambda match: self._expand(match, template), data)
        return replaced

    def _expand(self, match: Any, template: str) -> bytes:
        def group(reference: re.Match[str]) -> str:
            name = reference[1] or reference[2]
            if name is None:
                return "$"
            index = int(name) if name.isdecimal() else self.names.get(name, -1)
            return _text(match.group(index)) if 0 <= index <= self._compiled.groups else ""

        return _REFERENCE.sub(group, template).encode("utf-8", "surrogateescape")


def _text(data: bytes | None) -> str:
    return "" if data is None else data.decode("utf-8", "surrogateescape")


def _checked(text: str) -> str:
    Pattern(text)
    return text


PatternText = Annotated[str, AfterValidator(_checked)]
"""The field type of an expression: checked when the configuration is, compiled where it is used."""
