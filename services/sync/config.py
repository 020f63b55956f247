"""The configuration of ``http.handlers.file_sync``."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.units import ByteSize

DEFAULT_CLIENTS = 10_000
"""WebSocket clients of one handler in one process: about 100 MB of memory at 10 KB each."""


class FileSyncConfig(StrictModel):
    """Which folder is synced and who may change it.

    Without ``enable_upload`` everything that writes is 403. ``share`` names the folder's log on the
    bus; replicas that serve the same files need the same name (default: made from ``root``).
    ``allowed_origins`` are web origins beside the handler's own that may connect and write.
    """

    root: str = Field(min_length=1)
    enable_upload: bool = False
    share: str = Field(default="", max_length=64)
    allowed_origins: list[str] = Field(default_factory=list)
    max_file_size: ByteSize = 0
    max_clients: int = Field(default=DEFAULT_CLIENTS, ge=1)

    @field_validator("root")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("a path cannot contain NUL")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
                raise ValueError(f"{origin!r} is no origin such as https://app.example.com")
        return [origin.lower() for origin in value]
