"""The configuration of changes to header fields: Caddy's add, set, delete and replace.

The ``headers`` handler and the proxy share it; ``quantum.http.header_ops`` carries it out.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from quantum.config.model import StrictModel

_GROUP_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def python_replacement(template: str) -> str:
    r"""Return Go's replacement syntax (``$1``, ``${name}``, ``$$``) in Python's (``\g<1>``)."""
    parts: list[str] = []
    end = 0
    for match in _GROUP_REFERENCE.finditer(template):
        parts.append(template[end : match.start()].replace("\\", "\\\\"))
        parts.append("$" if match[3] else rf"\g<{match[1] or match[2]}>")
        end = match.end()
    return "".join([*parts, template[end:].replace("\\", "\\\\")])


class Replacement(StrictModel):
    """One search and replace inside a field's values: a substring or a regular expression."""

    search: str = ""
    search_regexp: Annotated[str, AfterValidator(_pattern)] = ""
    replace: str = ""

    @model_validator(mode="after")
    def _one_search(self) -> Replacement:
        if bool(self.search) == bool(self.search_regexp):
            raise ValueError('give either "search" or "search_regexp"')
        return self


class HeaderOperations(StrictModel):
    """Carried out in Caddy's order: ``delete *``, add, set, other deletes, replace.

    A delete may have a wildcard at either end or both. A null in ``set`` deletes the field.
    """

    add: dict[str, list[str] | None] = Field(default_factory=dict)
    set: dict[str, list[str] | None] = Field(default_factory=dict)
    delete: list[str] = Field(default_factory=list)
    replace: dict[str, list[Replacement]] = Field(default_factory=dict)


class ResponseRequirement(StrictModel):
    """Which responses are changed: status codes (one digit: a class) and field values."""

    status_code: list[int] = Field(default_factory=list)
    headers: dict[str, list[str] | None] = Field(default_factory=dict)


class ResponseHeaderOperations(HeaderOperations):
    """Changes to a response; ``deferred`` is how Caddy says "when it is written", which is always here."""

    require: ResponseRequirement | None = None
    deferred: bool = False


__all__ = [
    "HeaderOperations",
    "Replacement",
    "ResponseHeaderOperations",
    "ResponseRequirement",
    "python_replacement",
]
