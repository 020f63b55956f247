"""The configuration of ``http.handlers.push``."""

from __future__ import annotations

from pydantic import Field, field_validator

from quantum.config.model import StrictModel
from quantum.modules.header_ops import HeaderOperations


class Resource(StrictModel):
    """What a page needs: a target on this server, which may hold placeholders."""

    method: str = "GET"
    target: str = Field(min_length=1)

    @field_validator("method")
    @classmethod
    def _is_pushed(cls, method: str) -> str:
        if method.upper() not in {"", "GET", "HEAD"}:
            raise ValueError("only GET and HEAD can be pushed")
        return method.upper() or "GET"


class PushConfig(StrictModel):
    """``headers`` are those of pushed requests in Caddy. Nothing is pushed here, so that they change nothing."""

    resources: list[Resource] = Field(default_factory=list)
    headers: HeaderOperations | None = None
