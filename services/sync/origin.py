"""Which web pages may connect and write: the handler's own, and those the configuration names.

Browsers say where a request comes from and let any page open a WebSocket or post a form; other
clients send no Origin and are no danger of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from quantum.http.message import Request

_PORTS = {"http": 80, "https": 443}


def is_welcome(request: Request, allowed: Sequence[str]) -> bool:
    """Whether the page that made ``request`` may; True when no page did."""
    origin = request.headers.get(b"origin")
    if origin is None:
        return request.headers.get(b"sec-fetch-site") not in {b"cross-site", b"same-site"}
    text = origin.decode("latin-1").lower()
    if text in allowed:
        return True
    try:
        parts = urlsplit(text)
        default = _PORTS[parts.scheme]
        own = urlsplit(f"//{request.authority.lower()}")
        same_host = parts.hostname is not None and parts.hostname == own.hostname
        return same_host and (parts.port or default) == (own.port or default)
    except (KeyError, ValueError):
        return False  # "null", another scheme, or no URL at all
