"""The only list of rooms: their manifests merged into one registry and one validator."""

from __future__ import annotations

from functools import cache
from typing import Any

from quantum.modules.registry import Registry
from quantum.service.api import Revision
from services import config
from services.admin.manifest import MANIFEST as ADMIN
from services.certs.manifest import MANIFEST as CERTS
from services.edge.manifest import MANIFEST as EDGE
from services.health.manifest import MANIFEST as HEALTH
from services.proxy.manifest import MANIFEST as PROXY
from services.static.manifest import MANIFEST as STATIC
from services.sync.manifest import MANIFEST as SYNC

MANIFESTS = (EDGE, PROXY, STATIC, SYNC, HEALTH, CERTS, ADMIN)
ROOMS = tuple(manifest.room for manifest in MANIFESTS)
WORKER_ROOMS = frozenset({EDGE.room, PROXY.room, STATIC.room})
"""What requests pass through and keeps no state of its own: these rooms may run several times."""


@cache
def registry() -> Registry:
    """Return all modules of all rooms; the same object at every call."""
    return Registry(spec for manifest in MANIFESTS for spec in manifest.modules)


def parse(document: Any) -> Revision:
    """Validate a document in the simple or the full format; ConfigError names the first wrong place."""
    return config.parse(document, registry(), MANIFESTS)
