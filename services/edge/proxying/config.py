"""The configurations of the handlers for upstreams' answers."""

from __future__ import annotations

from pydantic import Field, model_validator

from quantum.config.model import StrictModel
from quantum.config.units import WeakString


class CopyResponseConfig(StrictModel):
    """``http.handlers.copy_response``: sends the upstream's answer, under another status if one is given."""

    status_code: WeakString = ""


class CopyResponseHeadersConfig(StrictModel):
    """``http.handlers.copy_response_headers``: puts the upstream's fields on the answer to come."""

    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_list(self) -> CopyResponseHeadersConfig:
        if self.include and self.exclude:
            raise ValueError('give either "include" or "exclude"')
        return self
