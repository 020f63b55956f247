"""The configuration of ``http.handlers.file_server`` (Caddy's fields)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.unbuilt import NotBuilt
from quantum.modules.config import ModuleMap

SORTS = ("name", "namedirfirst", "size", "time")
"""What a list of files can be sorted by (Caddy's names)."""


def _text(value: Any) -> Any:
    """Read Caddy's WeakString: a number or a string (a status code, possibly a placeholder)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


class BrowseConfig(StrictModel):
    """``browse``: lists of folders.

    ``sort`` has an order (``name``, ``namedirfirst``, ``size``, ``time``) and then a direction (``asc``,
    ``desc``); ``reveal_symlinks`` tells where links lead; of a folder up to ``file_limit`` entries are read.
    """

    template_file: NotBuilt = None
    reveal_symlinks: bool = False
    sort: list[str] = Field(default_factory=list, max_length=2)
    file_limit: int = Field(default=10_000, ge=0)

    @field_validator("file_limit")
    @classmethod
    def _has_default(cls, value: int) -> int:
        return value or 10_000

    @field_validator("sort")
    @classmethod
    def _is_order(cls, value: list[str]) -> list[str]:
        for word, known in zip(value, (SORTS, ("asc", "desc")), strict=False):
            if word not in known:
                raise ValueError(f"{word!r} is none of {', '.join(known)}")
        return value


class FileServerConfig(StrictModel):
    """What to serve and how.

    ``root`` may hold placeholders; by default the variable ``root`` that an earlier ``vars`` handler
    set, else the working directory. ``hide`` takes names, paths and globs. ``canonical_uris`` adds
    the slash that a directory lacks, and takes away the one that a file has, by a 308.
    ``status_code`` replaces 200 (an error page); ``pass_thru`` gives what is not found to the next
    handler of the route. With ``precompressed``, a file beside (``.gz``, ``.zst``, ``.br``) is sent to
    clients that take its coding; ``precompressed_order`` decides where they have no preference. A file
    beside with one of ``etag_file_extensions`` has the entity tag, with its quotes, instead of ours.
    """

    root: str = ""
    hide: list[str] = Field(default_factory=list)
    index_names: list[str] = Field(default_factory=lambda: ["index.html", "index.txt"])
    canonical_uris: bool = True
    status_code: Annotated[str, BeforeValidator(_text)] = ""
    pass_thru: bool = False
    fs: NotBuilt = None
    browse: BrowseConfig | None = None
    precompressed: ModuleMap("http.precompressed") = Field(default_factory=dict)  # type: ignore[valid-type]
    precompressed_order: list[str] = Field(default_factory=list)
    etag_file_extensions: list[str] = Field(default_factory=list)

    @field_validator("status_code")
    @classmethod
    def _is_status(cls, value: str) -> str:
        if value and "{" not in value and not (value.isdigit() and 100 <= int(value) <= 999):
            raise ValueError(f"status code {value!r} is no number from 100 to 999")
        return value

    @field_validator("root")
    @classmethod
    def _has_no_nul(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("a path cannot contain NUL")
        return value


class PrecompressedConfig(StrictModel):
    """``http.precompressed.*``: there is nothing to say but its name."""
