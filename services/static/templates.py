"""Placeholders in the fields of a file server; a text without any costs nothing per request."""

# ruff: noqa: PTH109 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import os
from collections.abc import Callable

from quantum.http.message import Request

Template = Callable[[Request], str]


def compile_template(text: str) -> Template:
    """Return the function that fills ``text`` in; unknown placeholders become empty."""
    if "{" not in text:
        return lambda request: text
    raise ValueError(f"placeholders are not built here yet: {text}")


def compile_root(text: str) -> Template:
    """Return the function that gives the root: ``text``, else the variable ``root``, else here."""
    if text:
        return compile_template(text)
    working_directory = os.getcwd()

    def root(request: Request) -> str:
        variable = request.vars.get("root") if request.has_vars else None
        return str(variable) if variable else working_directory

    return root
