"""The configuration of ``http.handlers.encode`` and of its encoders, by Caddy's names and defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from quantum.config.model import StrictModel
from quantum.modules.config import ModuleMap
from quantum.modules.header_ops import ResponseRequirement


class GzipConfig(StrictModel):
    """``http.encoders.gzip``: levels from 1, fastest, to 9, smallest; 0 is the default, 5."""

    level: int = Field(default=0, ge=0, le=9)


class ZstdConfig(StrictModel):
    """``http.encoders.zstd``: a level by name; ``checksum``: frames end with one of their content."""

    level: Literal["", "fastest", "default", "better", "best"] = ""
    checksum: bool = False


class EncodeConfig(StrictModel):
    """``http.handlers.encode``: compresses answers for clients that take it.

    ``encodings`` has the encoders; where a client has no preference, ``prefer`` decides (zstd before
    gzip when it is empty). Only answers longer than ``minimum_length`` bytes (0: 512) that ``match``
    are encoded; without ``match``, those whose Content-Type is known to shrink.
    """

    encodings: ModuleMap("http.encoders") = Field(default_factory=dict)  # type: ignore[valid-type]
    prefer: list[str] = Field(default_factory=list)
    minimum_length: int = Field(default=0, ge=0)
    match: ResponseRequirement | None = None

    @model_validator(mode="after")
    def _prefers_what_it_has(self) -> EncodeConfig:
        for index, name in enumerate(self.prefer):
            if name not in self.encodings:
                raise ValueError(
                    f'prefer[{index}]: {name!r} is not among "encodings": add it there'
                )
            if name in self.prefer[:index]:
                raise ValueError(f"prefer[{index}]: {name!r} is there twice")
        return self
