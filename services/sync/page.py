"""The page a browser gets from a share: static, small, kept in memory, under a strict policy."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from quantum.errors import HttpError
from quantum.http.files.answer import Representation, answer_bytes
from quantum.http.files.content_types import content_type_of
from quantum.http.message import Request, Response

ASSETS = {
    "/": "index.html",
    "/app.js": "app.js",
    "/style.css": "style.css",
    "/icon.svg": "icon.svg",
}
"""What is served, by path; nothing else exists, and nothing comes from another origin."""

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FIELDS = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


class Page:
    """The assets, read once."""

    def __init__(self) -> None:
        folder = files("services.sync") / "web"
        self._assets: dict[str, tuple[bytes, Representation]] = {}
        for path, name in ASSETS.items():
            data = (folder / name).read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'.encode()
            self._assets[path] = (
                data,
                Representation(len(data), etag, None, content_type_of(name), _FIELDS),
            )

    def answer(self, request: Request) -> Response:
        """Answer with an asset; HttpError 404 or 405."""
        asset = self._assets.get(request.path)
        if asset is None:
            raise HttpError(404, "no such page of the share")
        if request.method not in {"GET", "HEAD"}:
            raise HttpError(405, "pages are read only", ((b"allow", b"GET, HEAD"),))
        data, representation = asset
        return answer_bytes(request.method, request.headers, data, representation)
