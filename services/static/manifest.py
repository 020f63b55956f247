"""What the static room is and which modules live in it."""

from __future__ import annotations

from quantum.modules.spec import Manifest, ModuleSpec

MANIFEST = Manifest(
    room="static",
    service="services.static.service:StaticService",
    summary="Serves files of a folder",
    modules=(
        ModuleSpec(
            id="http.handlers.file_server",
            room="static",
            config="services.static.config:FileServerConfig",
            implementation="services.static.handler:FileServer",
            terminal=True,
            summary="Answers with the files below a root",
        ),
        *(
            ModuleSpec(
                id=f"http.precompressed.{name}",
                room="static",
                config="services.static.config:PrecompressedConfig",
                implementation=f"services.static.precompressed:{implementation}",
                summary=f"files that are compressed already, by the ending {suffix}",
            )
            for name, implementation, suffix in (
                ("br", "Brotli", ".br"),
                ("gzip", "Gzip", ".gz"),
                ("zstd", "Zstd", ".zst"),
            )
        ),
    ),
)
