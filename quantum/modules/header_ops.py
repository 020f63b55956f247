"""The configuration of changes to header fields: Caddy's add, set, delete and replace.

The ``headers`` handler and the proxy share it; ``quantum.http.header_ops`` carries it out.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from quantum.config.model import StrictModel
from quantum.config.pattern import PatternText


class Replacement(StrictModel):
    """One search and replace inside a field's values: a substring or a regular expression."""

    search: str = ""
    search_regexp: PatternText = ""
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
    """Changes to a response.

    Without ``deferred`` or ``require`` the ``headers`` handler makes them before anyone answers
    (``quantum.http.response_fields``); the proxy makes them when it has its upstream's answer.
    """

    require: ResponseRequirement | None = None
    deferred: bool = False


__all__ = [
    "HeaderOperations",
    "Replacement",
    "ResponseHeaderOperations",
    "ResponseRequirement",
]
