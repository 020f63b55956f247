"""Modules and routes inside configuration models.

``ModuleConfig`` is a validated reference: which module, its validated configuration, its JSON path.
Field types ``InlineModule(namespace)`` and ``ModuleMap(namespace)`` make one of raw JSON. They look
the module up in the registry of the validation in progress (``use_registry``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from quantum.config.model import Located, StrictModel, locate, path_of
from quantum.errors import ConfigError
from quantum.modules.registry import Registry
from quantum.modules.spec import ModuleSpec

_registry: ContextVar[Registry] = ContextVar("registry")
_found: ContextVar[list[ModuleConfig]] = ContextVar("found")


@contextmanager
def use_registry(registry: Registry) -> Iterator[list[ModuleConfig]]:
    """Validate configurations with the modules of ``registry`` inside this block.

    The list it gives collects every module that was validated in the block.
    """
    found: list[ModuleConfig] = []
    tokens = _registry.set(registry), _found.set(found)
    try:
        yield found
    finally:
        _registry.reset(tokens[0])
        _found.reset(tokens[1])


@dataclass(frozen=True, slots=True)
class ModuleConfig:
    """One module named by a configuration, validated. ``raw`` is its JSON, inline key included."""

    spec: ModuleSpec
    config: Any
    path: str
    raw: Any


def parse_inline(namespace: str, value: Any) -> ModuleConfig:
    """Validate an object that carries its module's name under the namespace's inline key."""
    if isinstance(value, ModuleConfig):
        return value
    path = path_of(value)
    spec, fields = _registry.get().split_inline(namespace, value, path)
    return _remember(
        ModuleConfig(spec, spec.load_config().parse(Located(fields, path)), path, value)
    )


def parse_named(namespace: str, name: str, value: Any, path: str) -> ModuleConfig:
    """Validate a module that is named by its key in a map; ``value`` may be any JSON."""
    spec = _registry.get().get(namespace, name, path)
    located = locate(value, path)
    try:
        config = spec.load_config().parse(located)
    except ConfigError as error:
        # Only objects know their path: what is wrong with a list or a text is told relative to it.
        if path_of(located) or not (error.path == "" or error.path.startswith("[")):
            raise
        raise ConfigError(path + error.path, error.problem, error.remedy) from None
    return _remember(ModuleConfig(spec, config, path, value))


def _remember(module: ModuleConfig) -> ModuleConfig:
    _found.get().append(module)
    return module


def _parse_map(namespace: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be an object whose keys are module names")
    base = path_of(value)
    return {k: parse_named(namespace, k, v, f"{base}.{k}") for k, v in value.items()}


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, ModuleConfig) else value


def InlineModule(namespace: str) -> Any:  # noqa: N802 - used as a type
    """Return the field type of an object with an inline key."""
    return Annotated[
        ModuleConfig, BeforeValidator(lambda v: parse_inline(namespace, v)), PlainSerializer(_raw)
    ]


def ModuleMap(namespace: str) -> Any:  # noqa: N802 - used as a type
    """Return the field type of an object whose keys are module names."""
    return Annotated[dict[str, Any], BeforeValidator(lambda v: _parse_map(namespace, v))]


SPELLED_MATCHERS = {"path": "paths", "host": "hosts", "method": "methods"}
"""Matchers whose spelled form, {"matcher": "path", "paths": […]}, has a list under this key."""


def _parse_matcher_set(value: Any) -> dict[str, ModuleConfig]:
    """Read a matcher set in Caddy's form {"path": […]} or the spelled one {"matcher": "path", …}."""
    if not isinstance(value, dict):
        raise ValueError("a matcher set must be an object")
    if "matcher" not in value:
        parsed: dict[str, ModuleConfig] = _parse_map("http.matchers", value)
        return parsed
    path, name = path_of(value), value["matcher"]
    fields = {k: v for k, v in value.items() if k != "matcher"}
    key = SPELLED_MATCHERS.get(name)
    if key is not None and set(fields) != {key}:
        raise ValueError(f'matcher {name!r} in this form takes exactly the field "{key}"')
    content = fields[key] if key is not None else fields.get(name, fields)
    place = f"{path}.{key}" if key is not None else path
    return {name: parse_named("http.matchers", name, content, place)}


MatcherSet = Annotated[dict[str, Any], BeforeValidator(_parse_matcher_set)]
"""Matchers by name, all of which must match."""


class RouteConfig(StrictModel):
    """Caddy's route: of routes with one ``group`` the first match wins; ``terminal`` ends the chain."""

    group: str = ""
    match: list[MatcherSet] = Field(default_factory=list)
    handle: list[InlineModule("http.handlers")] = Field(default_factory=list)  # type: ignore[valid-type]
    terminal: bool = False


class ErrorRoutes(StrictModel):
    """The chain that answers when the primary one raised an error."""

    routes: list[RouteConfig] = Field(default_factory=list)
