"""A chain with ``templates`` before an answer, as a server has it."""

from __future__ import annotations

from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.modules.spec import ModuleSpec
from quantum.testing.routing import make_compiler, make_request, parse_routes
from services.edge.manifest import MANIFEST
from services.edge.templates.handler import ServerChain

FILES = ModuleSpec(
    id="http.handlers.answering",
    room="elsewhere",
    config="quantum.testing.routing:AnyConfig",
    implementation="",
    terminal=True,
)


def chain(root, answer, **config):
    """Return the chain; requests of pages to their own server come to it as well."""
    handler = {"handler": "templates", "file_root": str(root), **config}
    routes = [{"handle": [handler, {"handler": "answering"}]}]
    server = ServerChain()
    compiler = make_compiler({"answering": answer}, {ServerChain: server})
    server.handle = compiler.compile(parse_routes([*MANIFEST.modules, FILES], routes))
    return server.handle


async def render(root, source, **config):
    """Return what a template makes of a plain request."""

    async def answer(request):
        return Response(200, Headers([(b"content-type", b"text/html")]), source.encode())

    response = await chain(root, answer, **config)(make_request("GET", "/page"))
    return response.body.decode()
