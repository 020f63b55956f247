"""Caddy's apps that only hold modules of plugins, of which there are none here: their empty shape is accepted."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from quantum.config.model import StrictModel, path_of
from quantum.errors import ConfigError


def _refused(value: Any, key: str, kind: str) -> Any:
    """Refuse the first of a list of modules by its name."""
    if isinstance(value, list) and value:
        first = value[0]
        name = first.get(key, "?") if isinstance(first, dict) else first
        problem = f"there is no module {kind}.{name}: in Caddy they come with plugins"
        raise ConfigError(path_of(first), problem, "leave it out")
    return value


class Subscription(StrictModel):
    """What is called for which events of which modules."""

    events: list[str] = Field(default_factory=list)
    modules: list[str] = Field(default_factory=list)
    handlers: list[Any] = Field(default_factory=list)

    @field_validator("handlers", mode="before")
    @classmethod
    def _no_handlers(cls, value: Any) -> Any:
        return _refused(value, "handler", "events.handlers")


class EventsApp(StrictModel):
    """``events``: subscriptions without handlers do nothing."""

    subscriptions: list[Subscription] = Field(default_factory=list)


class FileSystem(StrictModel):
    """A file system by name."""

    name: str
    file_system: Any = None

    @field_validator("file_system", mode="before")
    @classmethod
    def _no_backend(cls, value: Any) -> Any:
        _refused([value] if isinstance(value, dict) else value, "backend", "caddy.fs")
        return value


class FileSystemsApp(StrictModel):
    """``caddy.filesystems``: the machine's own file system is the only one."""

    filesystems: list[FileSystem] = Field(default_factory=list)
