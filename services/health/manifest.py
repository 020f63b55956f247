"""What the health room is. It has no configuration of its own: checks stand at the proxies."""

from __future__ import annotations

from quantum.modules.spec import Manifest

MANIFEST = Manifest(
    room="health",
    service="services.health.service:HealthService",
    summary="Checks upstreams and publishes which ones work",
    # Roots and certificates towards upstreams are asked for while a revision is prepared.
    needs=("certs",),
    subjects=("quantum.health.upstream_changed",),
)
