"""What the admin room says about itself."""

from __future__ import annotations

from quantum.modules.spec import Manifest

MANIFEST = Manifest(
    room="admin",
    service="services.admin.service:AdminService",
    summary="Caddy's admin API; shares configurations with the whole deployment",
    config_apps=(("admin", "services.admin.config:AdminConfig"),),
    subjects=("quantum_config", "quantum_revisions", "quantum.admin.config_applied"),
)
