"""Addresses of documents that a configuration names: absolute, HTTP, without a password in them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _check(url: str) -> str:
    try:
        place = urlsplit(url)
        _ = place.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if place.scheme not in {"http", "https"} or not place.hostname:
        raise ValueError(f"{url!r} must be an absolute URL, http:// or https://")
    if place.username or place.password:
        raise ValueError("a URL here must not carry a user or password: it would reach logs")
    return url


HttpUrl = Annotated[str, AfterValidator(_check)]
"""An http:// or https:// URL."""
