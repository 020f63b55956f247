"""What the sync room is and which modules live in it."""

from __future__ import annotations

from quantum.modules.spec import Manifest, ModuleSpec

MANIFEST = Manifest(
    room="sync",
    service="services.sync.service:SyncService",
    summary="Keeps folders the same everywhere, live",
    modules=(
        ModuleSpec(
            id="http.handlers.file_sync",
            room="sync",
            config="services.sync.config:FileSyncConfig",
            implementation="services.sync.handler:FileSync",
            terminal=True,
            summary="REST, WebSocket and a page over a synced folder",
        ),
    ),
    subjects=("quantum_share",),
)
