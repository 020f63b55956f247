"""The page a browser gets from a share: static, small, kept in memory, under a strict policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from quantum.errors import HttpError
from quantum.http.files.answer import Representation, answer_bytes
from quantum.http.files.content_types import content_type_of
from quantum.http.message import Request, Response

_KINDS = (".html", ".js", ".css", ".svg")
"""What is served of ``web/``, by name; the folder is part of the program, nothing else is in it."""

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    b"media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from elsewhere, nothing inline, no text that becomes markup. ``blob:`` is what the page itself
has read with a token, which an image's own request cannot carry."""

_FIELDS = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)

CLIENT = "/quantum-sync.js"
"""The module that pages of other origins may import; whether they may connect is the share's to say."""


def _find(folder: Traversable, prefix: str = "/") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _find(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_KINDS):
            yield prefix + entry.name, entry


class Page:
    """The assets, read once."""

    def __init__(self) -> None:
        self._assets: dict[str, tuple[bytes, Representation]] = {}
        for path, file in _find(files("services.sync") / "web"):
            data = file.read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'.encode()
            shared = ((b"access-control-allow-origin", b"*"),) if path == CLIENT else ()
            fields = (*_FIELDS, *shared)
            kind = content_type_of(path)
            self._assets[path] = data, Representation(len(data), etag, None, kind, fields)
        self._assets["/"] = self._assets.pop("/index.html")

    def answer(self, request: Request) -> Response:
        """Answer with an asset; HttpError 404 or 405."""
        asset = self._assets.get(request.path)
        if asset is None:
            raise HttpError(404, "no such page of the share")
        if request.method not in {"GET", "HEAD"}:
            raise HttpError(405, "pages are read only", ((b"allow", b"GET, HEAD"),))
        data, representation = asset
        return answer_bytes(request.method, request.headers, data, representation)
