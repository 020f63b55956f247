"""Models of the handlers that bound bodies (Caddy v2)."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.units import ByteSize, Duration


class RequestBodyConfig(StrictModel):
    """``http.handlers.request_body``: a bound for the body (413 beyond it), or another body."""

    max_size: ByteSize = 0
    set: str = ""


class TimeoutsConfig(StrictModel):
    """``http.handlers.timeouts``: how slow clients of this route may be; 0 leaves the server's bound, less is none.

    Times are of silence, as the server's ``read_idle_timeout`` and ``write_idle_timeout``; rates are
    bytes per second on average after as long.
    """

    read_timeout: Duration = 0.0
    read_min_rate: int = Field(default=0, ge=0)
    write_timeout: Duration = 0.0
    write_min_rate: int = Field(default=0, ge=0)
    max_write_chunk: int = Field(default=0, ge=0)
