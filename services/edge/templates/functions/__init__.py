"""Functions of templates by name: Go's builtins and those of Sprig that pages use.

Not there: Sprig's key and certificate generation, passwords, semantic versions, names from DNS, and the
process's environment beyond ``env``. Arguments come as Sprig has them, the value of a pipeline last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.edge.templates.functions.builtins import BUILTINS
from services.edge.templates.functions.collections import COLLECTIONS
from services.edge.templates.functions.dates import DATES
from services.edge.templates.functions.encodings import ENCODINGS
from services.edge.templates.functions.numbers import NUMBERS
from services.edge.templates.functions.texts import TEXTS

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **TEXTS, **NUMBERS, **COLLECTIONS, **DATES, **ENCODINGS, **BUILTINS,
}  # fmt: skip
"""What every template has; a page's context adds its own."""
