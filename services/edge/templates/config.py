"""The configuration of ``http.handlers.templates``."""

from __future__ import annotations

from pydantic import Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.unbuilt import NotBuilt

MIME_TYPES = ["text/html", "text/plain", "text/markdown"]


class TemplatesConfig(StrictModel):
    """Answers of ``mime_types`` are templates. ``file_root`` is where they may read, by default the variable ``root``."""

    file_root: str = ""
    mime_types: list[str] = Field(default_factory=lambda: list(MIME_TYPES))
    delimiters: list[str] = Field(default_factory=lambda: ["{{", "}}"])
    match: NotBuilt = None  # Caddy's name for functions of plugins

    @field_validator("mime_types")
    @classmethod
    def _or_default(cls, types: list[str]) -> list[str]:
        return types or list(MIME_TYPES)

    @field_validator("delimiters")
    @classmethod
    def _are_two(cls, delimiters: list[str]) -> list[str]:
        if not delimiters:
            return ["{{", "}}"]
        if len(delimiters) != 2 or not all(delimiters):
            raise ValueError("delimiters are two texts, an opening one and a closing one")
        return delimiters
