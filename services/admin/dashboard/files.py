"""Serves the page. It may load its own files, ask this API, and nothing else."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

from quantum.errors import HttpError

PAGE = {
    "": ("index.html", "text/html"),
    "dashboard.js": ("dashboard.js", "text/javascript"),
    "dom.js": ("dom.js", "text/javascript"),
    "dashboard.css": ("dashboard.css", "text/css"),
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def serve(path: str) -> web.Response:
    """Return the file at ``path``; HttpError 404 when the page has none of that name."""
    found = PAGE.get(path.strip("/"))
    if found is None:
        raise HttpError(404, "no such path")
    name, content_type = found
    return web.Response(
        body=files(__package__).joinpath(name).read_bytes(),
        content_type=content_type,
        charset="utf-8",
        headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"},
    )
