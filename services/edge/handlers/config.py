"""The configurations of the handlers that run in edge, by Caddy's names and defaults."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from quantum.config.model import StrictModel, StrictRoot
from quantum.config.pattern import PatternText
from quantum.config.units import WeakString
from quantum.modules.border import ResponseRule
from quantum.modules.config import ErrorRoutes, RouteConfig
from quantum.modules.header_ops import HeaderOperations, ResponseHeaderOperations


def _status(text: str) -> str:
    """Check a status that is written out; one with a placeholder is checked when it is known."""
    if text and "{" not in text and not (text.isdecimal() and 100 <= int(text) <= 999):
        raise ValueError(f"{text!r} is no status code")
    return text


class StaticResponseConfig(StrictModel):
    """``http.handlers.static_response``: a fixed answer; 103 is sent ahead and the chain goes on."""

    status_code: WeakString = ""
    headers: dict[str, list[str] | None] = Field(default_factory=dict)
    body: str = ""
    close: bool = False
    abort: bool = False

    _check_status = field_validator("status_code")(_status)


class HeadersConfig(StrictModel):
    """``http.handlers.headers``: changes to the fields of the request and of the response."""

    request: HeaderOperations | None = None
    response: ResponseHeaderOperations | None = None


class SubstringConfig(StrictModel):
    """One replacement of ``uri_substring``; ``limit`` 0 or less: all of them."""

    find: str = ""
    replace: str = ""
    limit: int = 0


class PathReplacementConfig(StrictModel):
    """One replacement of ``path_regexp``."""

    find: PatternText = Field(min_length=1)
    replace: str = ""


class QueryPairConfig(StrictModel):
    """A key and a value of the query; of ``rename``, the old and the new key."""

    key: str = ""
    val: str = ""


class QueryReplacementConfig(StrictModel):
    """A search in the values of a key of the query, ``*`` for all keys."""

    key: str = ""
    search: str = ""
    search_regexp: PatternText = ""
    replace: str = ""


class QueryOperationsConfig(StrictModel):
    """Changes to the query, in this order."""

    rename: list[QueryPairConfig] = Field(default_factory=list)
    set: list[QueryPairConfig] = Field(default_factory=list)
    add: list[QueryPairConfig] = Field(default_factory=list)
    replace: list[QueryReplacementConfig] = Field(default_factory=list)
    delete: list[str] = Field(default_factory=list)


class RewriteConfig(StrictModel):
    """``http.handlers.rewrite``: changes method and target before the chain goes on."""

    method: str = ""
    uri: str = ""
    strip_path_prefix: str = ""
    strip_path_suffix: str = ""
    uri_substring: list[SubstringConfig] = Field(default_factory=list)
    path_regexp: list[PathReplacementConfig] = Field(default_factory=list)
    query: QueryOperationsConfig | None = None


class SubrouteConfig(StrictModel):
    """``http.handlers.subroute``: a chain inside a chain, with its own error routes."""

    routes: list[RouteConfig] = Field(default_factory=list)
    errors: ErrorRoutes | None = None


class InvokeConfig(StrictModel):
    """``http.handlers.invoke``: runs a route of the server's ``named_routes``."""

    name: str = Field(min_length=1)


class InterceptConfig(StrictModel):
    """``http.handlers.intercept``: another status for what comes back, or routes that answer instead."""

    handle_response: list[ResponseRule] = Field(default_factory=list)


class VarsConfig(StrictRoot[dict[str, Any]]):
    """``http.handlers.vars``: values for ``{http.vars.NAME}``; strings may hold placeholders."""


class ErrorConfig(StrictModel):
    """``http.handlers.error``: fails with a status, for the error routes."""

    error: str = ""
    status_code: WeakString = ""

    _check_status = field_validator("status_code")(_status)


class MappingConfig(StrictModel):
    """One line of a ``map``: what the source is, and the values of the destinations (null: default)."""

    input: str = ""
    input_regexp: PatternText = ""
    outputs: list[Any] = Field(default_factory=list)


class MapConfig(StrictModel):
    """``http.handlers.map``: placeholders whose values depend on the value of another."""

    source: str = ""
    destinations: list[str] = Field(default_factory=list)
    mappings: list[MappingConfig] = Field(default_factory=list)
    defaults: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _as_many_outputs(self) -> MapConfig:
        seen: set[str] = set()
        for index, mapping in enumerate(self.mappings):
            if len(mapping.outputs) != len(self.destinations):
                raise ValueError(
                    f"mapping {index} has {len(mapping.outputs)} outputs for "
                    f"{len(self.destinations)} destinations"
                )
            if mapping.input and mapping.input in seen:
                raise ValueError(f"input {mapping.input!r} is mapped twice")
            seen.add(mapping.input)
        if self.defaults and len(self.defaults) != len(self.destinations):
            raise ValueError("give one default for each destination, or none at all")
        if any(not (d.startswith("{") and d.endswith("}")) for d in self.destinations):
            raise ValueError('a destination is a placeholder: "{name}"')
        return self
