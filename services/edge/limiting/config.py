"""The configuration of ``http.handlers.rate_limit``, by the names of the plugin that Caddy users know."""

from __future__ import annotations

from pydantic import Field, model_validator

from quantum.config.model import StrictModel
from quantum.config.units import Duration
from quantum.modules.config import MatcherSet
from services.edge.limiting.sharing import TELL_SECONDS


class ZoneConfig(StrictModel):
    """One limit: ``max_events`` in any ``window``, or ``max_concurrent`` at a time, for each ``key``.

    A key with placeholders has a count for each of its values; without, one for all requests.
    """

    match: list[MatcherSet] = Field(default_factory=list)
    key: str = ""
    window: Duration = 0.0
    max_events: int = Field(default=0, ge=0)
    max_concurrent: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_one_limit(self) -> ZoneConfig:
        if self.max_concurrent and (self.max_events or self.window):
            raise ValueError("takes max_concurrent or max_events with window: make it two zones")
        if not self.max_concurrent and self.window <= 0:
            raise ValueError("needs a window with max_events, or max_concurrent")
        return self


class DistributedConfig(StrictModel):
    """``distributed``: the processes tell each other what they let through, once a second over the bus."""

    write_interval: Duration = Field(default=5.0, ge=TELL_SECONDS)
    read_interval: Duration = Field(default=5.0, ge=TELL_SECONDS)


class RateLimitConfig(StrictModel):
    """``http.handlers.rate_limit``: 429 with Retry-After to whoever asks too often.

    A zone's name is its own in the whole process: handlers that use one name count together.
    """

    rate_limits: dict[str, ZoneConfig] = Field(default_factory=dict)
    jitter: float = Field(default=0.0, ge=0)
    log_key: bool = False
    distributed: DistributedConfig | None = None
