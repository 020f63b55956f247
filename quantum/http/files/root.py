"""Where files are served from; a text without placeholders costs nothing per request."""

# ruff: noqa: PTH109 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import os

from quantum.http.message import Request
from quantum.http.placeholders import Template, compile_template


def compile_root(text: str) -> Template:
    """Return the function that gives the root: ``text``, else the variable ``root``, else here."""
    if text:
        return compile_template(text)
    working_directory = os.getcwd()

    def root(request: Request) -> str:
        variable = request.vars.get("root") if request.has_vars else None
        return str(variable) if variable else working_directory

    return root
