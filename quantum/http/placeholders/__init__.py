"""Placeholders: ``{http.request.host}`` and the like, compiled once into closures.

What lives here: the syntax and the modes (``template``), and what each key means (``request``,
``session``, ``surroundings``). What does not: values that handlers leave (the request's variables).
"""

from quantum.http.placeholders.template import (
    Lookup,
    Mode,
    Template,
    compile_template,
    constant,
    find,
    is_variable,
    to_text,
)

__all__ = [
    "Lookup",
    "Mode",
    "Template",
    "compile_template",
    "constant",
    "find",
    "is_variable",
    "to_text",
]
