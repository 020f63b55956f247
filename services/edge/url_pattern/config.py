"""The configuration of ``http.matchers.url_pattern``."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.unbuilt import NotBuilt


class UrlPatternConfig(StrictModel):
    """A pattern: a whole URL, or what is relative to ``base_url``; without one only what it says itself counts."""

    pattern: str = Field(min_length=1)
    base_url: str = ""
    ignore_case: NotBuilt = None  # the library compares literal text alone without regard to case
