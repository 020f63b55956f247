"""What a room says about itself and its modules: plain data, importable in every image."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class ModuleSpec:
    """One module a configuration can name.

    ``id`` is Caddy's (``http.handlers.reverse_proxy``); ``config`` and ``implementation`` are
    "package.module:Name" references, imported when first used: the model needs nothing but the
    kernel, the implementation whatever its room installs. ``terminal`` handlers answer and run in
    ``room``; everything else runs in edge.
    """

    id: str
    room: str
    config: str
    implementation: str
    terminal: bool = False
    summary: str = ""

    @property
    def name(self) -> str:
        """The last part of the id: what a configuration writes."""
        return self.id.rpartition(".")[2]

    @property
    def namespace(self) -> str:
        """The id without the name (``http.handlers``)."""
        return self.id.rpartition(".")[0]

    def load_config(self) -> type[Any]:
        """Import the configuration model."""
        model: type[Any] = load(self.config)
        return model

    def load_implementation(self) -> Any:
        """Import the code; only a process that runs ``room`` may."""
        return load(self.implementation)


@dataclass(frozen=True)
class Manifest:
    """One room: its name, its service, what must run before it, its modules.

    ``needs`` orders the start inside one process; a needed room that runs elsewhere is not waited
    for. ``config_apps`` are the top-level configuration sections that belong to this room, as
    (JSON path, model reference) pairs: ("apps.http", "services.edge.config:HttpApp").
    """

    room: str
    service: str
    summary: str
    needs: tuple[str, ...] = ()
    modules: tuple[ModuleSpec, ...] = ()
    config_apps: tuple[tuple[str, str], ...] = ()
    subjects: tuple[str, ...] = field(default=())


def load(reference: str) -> Any:
    """Import "package.module:Name"."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
