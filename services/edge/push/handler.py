"""Preload links and early hints in place of HTTP/2's server push, which no browser takes any more.

Browsers switched push off (RFC 9113 §8.4 lets them; Chrome in 2022, Firefox in 2024). What took its
place is ``Link: <…>; rel=preload`` on the answer and, while a page is being made, in 103 Early Hints (RFC 8297): the browser
asks for what it has not cached yet.
"""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import quote

from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import Template, compile_template, constant
from quantum.http.response_fields import replaced
from quantum.modules.lifetime import Provision
from services.edge.push.config import PushConfig

EARLY_HINTS = 103
KINDS = {
    "css": "style", "js": "script", "mjs": "script", "woff": "font", "woff2": "font", "ttf": "font", "png": "image",
    "jpg": "image", "jpeg": "image", "gif": "image", "webp": "image", "avif": "image", "svg": "image", "json": "fetch",
    "wasm": "fetch", "vtt": "track",
}  # fmt: skip
"""What a target is by its ending: browsers ignore a preload that does not say (W3C Preload, ``as``)."""
ANONYMOUS = frozenset({"font", "fetch"})
"""Kinds that browsers ask for with CORS: without ``crossorigin`` they would be fetched twice."""

_KEPT = "/?#[]@!$&'()*+,;=:%-._~"
"""What a URL may have as it is; the rest is percent-encoded, so that nothing ends the field (RFC 3986)."""


class Push:
    """Tells what pages need."""

    def __init__(self, config: PushConfig, provision: Provision) -> None:
        self._targets: list[Template] = [
            compile_template(resource.target)
            for resource in config.resources
            if resource.method == "GET" and constant(resource.target) != ""
        ]

    def link(self, following: Next) -> Next:
        """Return the link; without resources there is none."""
        if not self._targets:
            return following

        def route(request: Request) -> Awaitable[Response]:
            if request.method not in {"GET", "HEAD"} or request.upgrade is not None:
                return following(request)
            return self._hinting(request, following)

        return route

    async def _hinting(self, request: Request, following: Next) -> Response:
        links = [(b"link", _link(target(request))) for target in self._targets]
        if request.informational is not None and _is_navigation(request):
            request.informational(EARLY_HINTS, Headers(links.copy()))
        response = await following(request)
        if response.upgrade is not None or response.abort or response.status >= 300:
            return response
        return replaced(response, Headers([*response.headers.fields, *links]))


def _is_navigation(request: Request) -> bool:
    """Whether a browser is about to show the answer: others may not know 103 (RFC 8297 §3)."""
    return request.version != "HTTP/1.1" and request.headers.get(b"sec-fetch-mode") == b"navigate"


def _link(target: str) -> bytes:
    kind = KINDS.get(target.partition("?")[0].rpartition(".")[2].lower(), "")
    safe = quote(target.encode("utf-8", "surrogateescape"), safe=_KEPT)
    about = f"; as={kind}" if kind else ""
    return f"<{safe}>; rel=preload{about}{'; crossorigin' if kind in ANONYMOUS else ''}".encode()
