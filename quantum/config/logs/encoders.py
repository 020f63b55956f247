"""``caddy.logging.encoders.*`` and their filters: how a line of a log is written, and what is kept out of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from quantum.config.model import StrictModel, path_of
from quantum.config.pattern import PatternText
from quantum.errors import ConfigError

MAX_OPERATIONS = 50
"""Expressions of one ``multi_regexp`` filter (Caddy's bound): each costs every line."""

DurationFormat = Literal[
    "", "s", "second", "seconds", "ns", "nano", "nanos", "ms", "milli", "millis", "string"
]


class DeleteFilter(StrictModel):
    """The field is left out."""

    filter: Literal["delete"]


class RenameFilter(StrictModel):
    """The field has another name."""

    filter: Literal["rename"]
    name: str


class ReplaceFilter(StrictModel):
    """The field has another value."""

    filter: Literal["replace"]
    value: str = ""


class HashFilter(StrictModel):
    """The begin of the SHA-256 instead of the text."""

    filter: Literal["hash"]


class IpMaskFilter(StrictModel):
    """Networks instead of addresses; a family without a length is masked whole."""

    filter: Literal["ip_mask"]
    ipv4_cidr: int = Field(default=0, ge=0, le=32)
    ipv6_cidr: int = Field(default=0, ge=0, le=128)


class RegexpFilter(StrictModel):
    """What an expression finds is replaced."""

    filter: Literal["regexp"]
    regexp: PatternText = ""
    value: str = ""


class Operation(StrictModel):
    """One replacement of several."""

    regexp: PatternText
    value: str = ""


class MultiRegexpFilter(StrictModel):
    """Several replacements, one after the other."""

    filter: Literal["multi_regexp"]
    operations: list[Operation] = Field(min_length=1, max_length=MAX_OPERATIONS)


class QueryAction(StrictModel):
    """What is done to a parameter of a URL."""

    type: Literal["replace", "hash", "delete"]
    parameter: str
    value: str = ""


class QueryFilter(StrictModel):
    """Parameters of a URL."""

    filter: Literal["query"]
    actions: list[QueryAction]


class CookieAction(StrictModel):
    """What is done to a cookie."""

    type: Literal["replace", "hash", "delete"]
    name: str
    value: str = ""


class CookieFilter(StrictModel):
    """Cookies of a request's ``Cookie``, or of an answer's ``Set-Cookie``; the first action for a name counts."""

    filter: Literal["cookie", "set_cookie"]
    actions: list[CookieAction]


def _chosen(models: Mapping[str, type[StrictModel]], key: str, namespace: str, value: Any) -> Any:
    """Validate an object by the model that it names under ``key``."""
    if isinstance(value, StrictModel):
        return value
    path = path_of(value)
    if not isinstance(value, dict):
        raise ConfigError(path, f"must be an object with the key {key!r}")
    name = next((item for k, item in value.items() if k.lower() == key), None)
    if name is None:
        raise ConfigError(path, f"key {key!r} is missing", f"it names the {namespace} module")
    model = models.get(str(name))
    if model is None:
        near = difflib.get_close_matches(str(name), models, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(models))}"
        raise ConfigError(f"{path}.{key}", f"unknown module {namespace}.{name}", remedy)
    return model.parse(value)


def chosen_by(models: Mapping[str, type[StrictModel]], key: str, namespace: str) -> Any:
    """Return the field type of an object that names its model under ``key``."""
    return Annotated[Any, BeforeValidator(lambda v: _chosen(models, key, namespace, v))]


FILTERS: dict[str, type[StrictModel]] = {
    "delete": DeleteFilter, "rename": RenameFilter, "replace": ReplaceFilter, "hash": HashFilter,
    "ip_mask": IpMaskFilter, "regexp": RegexpFilter, "multi_regexp": MultiRegexpFilter,
    "query": QueryFilter, "cookie": CookieFilter, "set_cookie": CookieFilter,
}  # fmt: skip

Filter = chosen_by(FILTERS, "filter", "caddy.logging.encoders.filter")


class FormattedEncoder(StrictModel):
    """What ``json`` and ``console`` share; an empty key leaves its part out."""

    message_key: str | None = None
    level_key: str | None = None
    time_key: str | None = None
    name_key: str | None = None
    caller_key: str | None = None
    stacktrace_key: str | None = None
    line_ending: str = Field(default="\n", pattern="\n$")
    time_format: str = ""
    time_local: bool = False
    duration_format: DurationFormat = ""
    level_format: Literal["", "lower", "upper", "color"] = ""


class JsonEncoder(FormattedEncoder):
    """``caddy.logging.encoders.json``: an object in a line."""

    format: Literal["json"]


class ConsoleEncoder(FormattedEncoder):
    """``caddy.logging.encoders.console``: columns. Without any field of its own: colours for people."""

    format: Literal["console"]


ENCODERS: dict[str, type[StrictModel]] = {}
Encoder = chosen_by(ENCODERS, "format", "caddy.logging.encoders")
"""The field type of an encoder; what wraps another is in the table with it."""


class FilterEncoder(StrictModel):
    """``caddy.logging.encoders.filter``: fields, by paths such as ``request>headers>Cookie``, before they are written."""

    format: Literal["filter"]
    wrap: Encoder | None = None  # type: ignore[valid-type]
    fields: dict[str, Filter] = Field(default_factory=dict)  # type: ignore[valid-type]


class AppendEncoder(StrictModel):
    """``caddy.logging.encoders.append``: more fields in every line; a text may be a placeholder of the process."""

    format: Literal["append"]
    wrap: Encoder | None = None  # type: ignore[valid-type]
    fields: dict[str, Any] = Field(default_factory=dict)


class JournaldEncoder(StrictModel):
    """``caddy.logging.encoders.journald``: a priority before each line, as the journal reads it."""

    format: Literal["journald"]
    wrap: Encoder | None = None  # type: ignore[valid-type]


ENCODERS |= {
    "json": JsonEncoder, "console": ConsoleEncoder, "filter": FilterEncoder, "append": AppendEncoder,
    "journald": JournaldEncoder,
}  # fmt: skip
