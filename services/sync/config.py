"""The configuration of ``http.handlers.file_sync``."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from quantum.config.model import StrictModel
from quantum.config.units import ByteSize, Duration, Secret

DEFAULT_CLIENTS = 10_000
"""WebSocket clients of one handler in one process: about 100 MB of memory at 10 KB each."""


DEFAULT_RATE = 20_000
"""Requests and messages of one client address each second: twice what one connection is promised."""

SHORTEST_KEY = 32
"""Characters of a key that signs tokens: as strong as the signature."""


class FileSyncConfig(StrictModel):
    """Which folder is synced and who may change it.

    Without ``enable_upload`` everything that writes is 403. ``share`` names the folder's log on the
    bus; replicas that serve the same files need the same name (default: made from ``root``).
    ``allowed_origins`` are web origins beside the handler's own that may connect and write.
    ``content``: where replicas without a shared disk find contents; "bus" is NATS's object store.
    ``quiet``: how long a file changed on the disk must be left alone before it is read, by glob.
    ``token_key`` signs tokens (or the file that has it); with it, who has none may nothing, or only read (``require_token``).
    Limits: 0 is none. ``max_rate`` is requests and messages a second for each client address;
    deleting more than ``max_delete_files``, or ``max_delete_percent`` of all, within a minute wants a
    confirmation; ``quota`` bounds the sum of all files. History is kept for ``history_age`` and at least
    for the last ``history_operations``; what is older than both cannot be restored or resumed from.
    """

    root: str = Field(min_length=1)
    enable_upload: bool = False
    share: str = Field(default="", max_length=64)
    allowed_origins: list[str] = Field(default_factory=list)
    max_file_size: ByteSize = 0
    quota: ByteSize = 0
    max_clients: int = Field(default=DEFAULT_CLIENTS, ge=1)
    max_clients_per_address: int = Field(default=0, ge=0)
    max_rate: int = Field(default=DEFAULT_RATE, ge=0)
    max_delete_files: int = Field(default=500, ge=0)
    max_delete_percent: int = Field(default=50, ge=0, le=100)
    content: Literal["disk", "bus"] = "disk"
    history_age: Duration = 0.0
    history_operations: int = Field(default=0, ge=0)
    quiet: dict[str, Duration] = Field(default_factory=dict)
    token_key: Secret | None = None
    token_key_file: str = ""
    require_token: Literal["all", "write"] = "all"  # noqa: S105 - a rule, no secret
    revoked_tokens: list[str] = Field(default_factory=list)

    @field_validator("root")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("a path cannot contain NUL")
        return value

    @field_validator("token_key")
    @classmethod
    def _is_strong(cls, value: Secret | None) -> Secret | None:
        if value is not None and len(value.reveal()) < SHORTEST_KEY:
            raise ValueError(f"a key needs at least {SHORTEST_KEY} characters")
        return value

    @model_validator(mode="after")
    def _has_one_key(self) -> FileSyncConfig:
        if self.token_key is not None and self.token_key_file:
            raise ValueError("give token_key or token_key_file, not both")
        return self

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
                raise ValueError(f"{origin!r} is no origin such as https://app.example.com")
        return [origin.lower() for origin in value]
