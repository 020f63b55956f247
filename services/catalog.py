"""The only list of rooms: their manifests merged into one registry and one validator."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from quantum.modules.registry import Registry
from quantum.modules.spec import Manifest
from quantum.service.api import Revision
from services import config

ROOMS = ("certs", "health", "proxy", "static", "sync", "edge", "admin")


def _manifests() -> tuple[Manifest, ...]:
    names = (f"services.{room}.manifest" for room in ROOMS)
    return tuple(import_module(name).MANIFEST for name in names if find_spec(name))


MANIFESTS = _manifests()


@cache
def registry() -> Registry:
    """Return all modules of all rooms; the same object at every call."""
    return Registry(spec for manifest in MANIFESTS for spec in manifest.modules)


def parse(document: Any) -> Revision:
    """Validate a document in the simple or the full format; ConfigError names the first wrong place."""
    return config.parse(document, registry(), MANIFESTS)
