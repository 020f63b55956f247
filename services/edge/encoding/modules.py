"""The modules of this folder."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec

MODULES: tuple[ModuleSpec, ...] = (
    ModuleSpec(
        id="http.handlers.encode",
        room="edge",
        config="services.edge.encoding.config:EncodeConfig",
        implementation="services.edge.encoding.handler:Encode",
        summary="compresses answers for clients that take it",
    ),
    ModuleSpec(
        id="http.encoders.gzip",
        room="edge",
        config="services.edge.encoding.config:GzipConfig",
        implementation="services.edge.encoding.encoders:Gzip",
        summary="gzip, by zlib-ng",
    ),
    ModuleSpec(
        id="http.encoders.zstd",
        room="edge",
        config="services.edge.encoding.config:ZstdConfig",
        implementation="services.edge.encoding.encoders:Zstd",
        summary="Zstandard, windows of 128 KiB",
    ),
)
