"""Parsed templates, kept by their source: the same page is parsed once, whatever its file is called."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Container

from services.edge.templates.parser import parse
from services.edge.templates.syntax import Parsed

KEPT_CHARACTERS = 4 * 1024 * 1024
"""Of source; a tree takes some ten times as much."""


class Library:
    """Trees by source, the ones that were not wanted for longest given up first. Used from several threads."""

    def __init__(self, functions: Container[str], delimiters: tuple[str, str]) -> None:
        self._functions = functions
        self._delimiters = delimiters
        self._kept: OrderedDict[str, Parsed] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def get(self, source: str) -> Parsed:
        """Return the tree of a source. TemplateError."""
        with self._lock:
            found = self._kept.get(source)
            if found is not None:
                self._kept.move_to_end(source)
                return found
        found = parse(source, self._functions, *self._delimiters)
        with self._lock:
            if source not in self._kept:  # else another thread was faster
                self._kept[source] = found
                self._characters += len(source)
            while self._characters > KEPT_CHARACTERS:
                self._characters -= len(self._kept.popitem(last=False)[0])
        return found
