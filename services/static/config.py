"""The configuration of ``http.handlers.file_server`` (Caddy's fields)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.modules.config import ModuleMap

_NOT_BUILT = "known to Caddy, not built here yet: http.handlers.file_server.{}"


def _text(value: Any) -> Any:
    """Read Caddy's WeakString: a number or a string (a status code, possibly a placeholder)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


class FileServerConfig(StrictModel):
    """What to serve and how.

    ``root`` may hold placeholders; by default the variable ``root`` that an earlier ``vars`` handler
    set, else the working directory. ``hide`` takes names, paths and globs. ``canonical_uris`` adds
    the slash that a directory lacks, and takes away the one that a file has, by a 308.
    ``status_code`` replaces 200 (an error page); ``pass_thru`` gives what is not found to the next
    handler of the route. With ``precompressed``, a file beside (``.gz``, ``.zst``, ``.br``) is sent to
    clients that take its coding; ``precompressed_order`` decides where they have no preference.
    """

    root: str = ""
    hide: list[str] = Field(default_factory=list)
    index_names: list[str] = Field(default_factory=lambda: ["index.html", "index.txt"])
    canonical_uris: bool = True
    status_code: Annotated[str, BeforeValidator(_text)] = ""
    pass_thru: bool = False
    fs: str = ""
    browse: dict[str, Any] | None = None
    precompressed: ModuleMap("http.precompressed") = Field(default_factory=dict)  # type: ignore[valid-type]
    precompressed_order: list[str] = Field(default_factory=list)
    etag_file_extensions: list[str] = Field(default_factory=list)

    @field_validator("status_code")
    @classmethod
    def _is_status(cls, value: str) -> str:
        if value and "{" not in value and not (value.isdigit() and 100 <= int(value) <= 999):
            raise ValueError(f"status code {value!r} is no number from 100 to 999")
        return value

    @field_validator("fs", "browse", "etag_file_extensions")
    @classmethod
    def _is_built(cls, value: Any, info: Any) -> Any:
        if value or (isinstance(value, dict) and info.field_name == "browse"):
            raise ValueError(_NOT_BUILT.format(info.field_name))
        return value

    @field_validator("root")
    @classmethod
    def _has_no_nul(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("a path cannot contain NUL")
        return value


class PrecompressedConfig(StrictModel):
    """``http.precompressed.*``: there is nothing to say but its name."""
