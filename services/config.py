"""The whole configuration: one document, validated by the models of the rooms that own its parts.

Which room owns which part its manifest says (``config_apps``); this file knows no room by name. A
part that nobody owns is refused: a setting that is silently not obeyed is worse than an error.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from quantum.config.load import index_ids, without_ids
from quantum.config.model import StrictModel, locate
from quantum.config.simple import adapt, is_simple
from quantum.errors import ConfigError
from quantum.modules.config import ModuleConfig, use_registry
from quantum.modules.known import KNOWN_TO_CADDY
from quantum.modules.registry import Registry
from quantum.modules.spec import Manifest, load
from quantum.service.api import Revision

KERNEL_SECTIONS = (
    ("logging", "quantum.config.logs.section:LoggingConfig"),
    ("apps.caddy.filesystems", "quantum.modules.apps:FileSystemsApp"),
    ("apps.events", "quantum.modules.apps:EventsApp"),
)
"""Sections that every process obeys, whichever rooms it runs."""

REVISION_DIGITS = 16
"""Hexadecimal digits of a revision's id: 64 bits, far beyond the revisions a deployment will see."""


class StorageConfig(StrictModel):
    """``storage``: where state is kept. The data directory of the command line is the only place."""

    module: Literal["file_system"]
    root: str = ""


class QuantumConfig(StrictModel):
    """The envelope of the full format; its parts are validated by their owners."""

    admin: Any = None
    logging: Any = None
    storage: Any = None
    apps: dict[str, Any] = Field(default_factory=dict)


def parse(document: Any, registry: Registry, manifests: Iterable[Manifest]) -> Revision:
    """Validate a document in the simple or the full format; ConfigError names the first wrong place."""
    full = to_full(document)
    index_ids(full)
    located = locate(without_ids(full))
    config = QuantumConfig.parse(located)
    _check_storage(config.storage)
    owners = section_owners(manifests)
    _refuse_unowned(config.apps, owners)
    with use_registry(registry) as found:
        sections = {
            path: load(reference).parse(value)
            for path, reference in owners.items()
            if (value := _value_at(config, path)) is not None
        }
    return Revision(revision_id(full), full, config, sections, _distinct(found))


def to_full(document: Any) -> dict[str, Any]:
    """Return ``document`` in the full format; ConfigError when it is no object."""
    if not isinstance(document, dict):
        raise ConfigError("", "a configuration is a JSON object", 'start with "{"')
    return adapt(document) if is_simple(document) else document


def revision_id(document: dict[str, Any]) -> str:
    """Return the id of a full-format document: equal content, equal id, whatever the key order."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return digest[:REVISION_DIGITS]


def section_owners(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return the model reference of every section that somebody owns, by its JSON path."""
    owners = dict(KERNEL_SECTIONS)
    for manifest in manifests:
        for path, reference in manifest.config_apps:
            if path in owners:
                raise ValueError(f"section {path} has two owners: {owners[path]} and {reference}")
            owners[path] = reference
    return owners


def _value_at(config: QuantumConfig, path: str) -> Any:
    top, _, app = path.partition(".")
    return config.apps.get(app) if app else getattr(config, top)


def _check_storage(value: Any) -> None:
    if value is not None and StorageConfig.parse(value).root:
        problem = "known to Caddy, not built here yet: caddy.storage.file_system.root"
        raise ConfigError("storage.root", problem, "choose the place with --data-dir")


def _refuse_unowned(apps: Mapping[str, Any], owners: Mapping[str, str]) -> None:
    names = [path.removeprefix("apps.") for path in owners if path.startswith("apps.")]
    for name in apps:
        if name in names:
            continue
        if name in KNOWN_TO_CADDY:
            raise ConfigError(f"apps.{name}", f"known to Caddy, not built here yet: {name}")
        near = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(names))}"
        raise ConfigError(f"apps.{name}", f"unknown app {name!r}", remedy)


def _distinct(found: Iterable[ModuleConfig]) -> tuple[ModuleConfig, ...]:
    """Return each module once: a field that may hold several things is validated more than once."""
    return tuple({(module.path, module.spec.id): module for module in found}.values())
