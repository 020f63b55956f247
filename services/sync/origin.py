"""Which web pages may connect and write: the handler's own, and those the configuration names.

Browsers say where a request comes from and let any page open a WebSocket or post a form; other
clients send no Origin and are no danger of this kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from quantum.http.headers import Headers
from quantum.http.message import Request, Response

_PORTS = {"http": 80, "https": 443}

PREFLIGHT_SECONDS = 600
"""How long a browser may remember what it was allowed: a change of the configuration shows soon."""

_SHOWN = (
    b"Content-Location, Content-Range, ETag, Link, Location, Retry-After, Sync-Conflict, Sync-Cursor, "
    b"Sync-Log, Sync-Version, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Complete, "
    b"Upload-Expires, Upload-Limit, Upload-Offset"
)
"""Fields of answers that a page may read, beside those that every page may (Fetch, CORS-safelisted)."""


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


async def answer_across_origins(
    request: Request, allowed: Sequence[str], answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer a page of one of the ``allowed`` origins so that its browser lets it read (Fetch §3.2).

    Tokens travel in a field the page sets, never in cookies: no credentials are allowed.
    """
    origin = request.headers.get(b"origin")
    if origin is None or origin.decode("latin-1").lower() not in allowed:
        return await answer(request)
    wanted = request.headers.get(b"access-control-request-method")
    if request.method == "OPTIONS" and wanted is not None:
        fields = request.headers.joined(b"access-control-request-headers") or b""
        response = Response(204, Headers())
        response.headers.add(b"access-control-allow-methods", wanted)
        response.headers.add(b"access-control-allow-headers", fields)
        response.headers.add(b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS)
    else:
        response = await answer(request)
        response.headers.add(b"access-control-expose-headers", _SHOWN)
    response.headers.add(b"access-control-allow-origin", origin)
    response.headers.add(b"vary", b"Origin")
    return response
