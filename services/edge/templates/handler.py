"""``http.handlers.templates``: an answer that is text is a template, and its output is sent instead.

Execution is in threads: a page may compute, read files and wait for what it includes of this server. Pages
within pages have threads of their own by depth, so that they never wait for the threads that wait for them.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import read_all
from quantum.http.files.root import compile_root
from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.response_fields import replaced
from quantum.modules.lifetime import Provision
from services.edge.templates.config import TemplatesConfig
from services.edge.templates.context import NAMES, Included, Page
from services.edge.templates.files import MAX_FILE, Files
from services.edge.templates.library import Library
from services.edge.templates.syntax import TemplateError

THREADS = 8
"""For each depth: templates compute under one interpreter lock; threads serve those that wait."""
MAX_DEPTH = 3
"""Pages that include pages of this server (``httpInclude``), as in Caddy."""
INCLUDE_SECONDS = 60.0
DEPTH = b"quantum-templates-depth"
"""The field that tells how deep a request of a page is: it may come back through another server."""

EXECUTED = "templates.executed"
"""The variable of a request whose answer is a page, no template any more."""

CHANGED = (
    b"content-length",
    b"accept-ranges",
    b"last-modified",
    b"etag",
    b"content-digest",
    b"repr-digest",
)
"""Fields that say something of the template and not of the page."""


class ServerChain:
    """The whole chain of a server, for requests of pages to their own server."""

    handle: Next


@cache
def _threads(depth: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix=f"templates-{depth}")


class Templates:
    """Executes answers."""

    def __init__(self, config: TemplatesConfig, provision: Provision) -> None:
        self._types = tuple(kind.lower().encode() for kind in config.mime_types)
        self._root = compile_root(config.file_root)
        left, right = config.delimiters
        self._library = Library(NAMES, (left, right))
        self._server: ServerChain = provision.resources.setdefault(ServerChain, ServerChain())

    def link(self, following: Next) -> Next:
        """Return the link: parts of a template are no template, so ranges are not asked for."""

        async def route(request: Request) -> Response:
            for name in (b"range", b"if-range"):
                request.headers.remove(name)
            response = await following(request)
            return (
                await self._executed(request, response) if self._is_wanted(response) else response
            )

        return route

    def _is_wanted(self, response: Response) -> bool:
        headers = response.headers
        kind = (headers.get(b"content-type") or b"").lower()
        return (
            kind.startswith(self._types)
            and response.upgrade is None
            and not response.abort
            and response.status not in {204, 206, 304}
            and not headers.get(b"content-encoding")
        )

    async def _executed(self, request: Request, response: Response) -> Response:
        headers = response.headers.copy()
        for name in CHANGED:
            headers.remove(name)
        answer = replaced(response, headers)
        if request.method == "HEAD":
            return answer
        source = await _source(response)
        page = self._page(request, headers, asyncio.get_running_loop())
        depth = _depth(request)
        try:
            running = asyncio.get_running_loop().run_in_executor(
                _threads(depth), page.render, source
            )
            text = await running
        except TemplateError as error:
            raise HttpError(500, f"template {request.path}: {error}") from None
        request.vars[EXECUTED] = True
        answer.body = text.encode("utf-8", "surrogateescape")
        headers.add(b"content-length", str(len(answer.body)).encode())
        return answer

    def _page(self, request: Request, headers: Headers, loop: asyncio.AbstractEventLoop) -> Page:
        def fetch(uri: str) -> Included:
            waiting = asyncio.run_coroutine_threadsafe(self._included(request, uri), loop)
            try:
                return waiting.result(INCLUDE_SECONDS)
            except TimeoutError:
                waiting.cancel()
                raise TemplateError(f"{uri}: no answer in {INCLUDE_SECONDS:.0f} s") from None

        return Page(request, headers, Files(self._root(request)), self._library, fetch)

    async def _included(self, request: Request, uri: str) -> Included:
        """Ask this server for ``uri`` on behalf of the page's client."""
        depth = _depth(request) + 1
        if depth > MAX_DEPTH:
            raise TemplateError(f"{uri}: pages include pages deeper than {MAX_DEPTH}")
        if not uri.startswith("/") or any(c <= " " or c == "\x7f" for c in uri):
            raise TemplateError(f"{uri!r} is no target of this server")
        headers = request.headers.copy()
        for name in (
            b"accept-encoding",
            b"content-length",
            b"if-none-match",
            b"if-modified-since",
            DEPTH,
        ):
            headers.remove(name)
        headers.add(DEPTH, str(depth).encode())
        path, mark, query = uri.partition("?")
        virtual = Request(
            "GET", request.scheme, request.authority, path, query if mark else None, headers, b"",
            request.connection, request.version, request.started,
        )  # fmt: skip
        virtual.client_ip, virtual.deadline = request.client_ip, request.deadline
        try:
            response = await self._server.handle(virtual)
        except HttpError as error:
            raise TemplateError(f"{uri}: status {error.status}") from None
        data = await _source(response)
        if response.status >= 400:
            raise TemplateError(f"{uri}: status {response.status}")
        # What is a page already may hold what a client sent: it is never executed a second time.
        return Included(data, is_template=not (virtual.has_vars and EXECUTED in virtual.vars))


def _depth(request: Request) -> int:
    told = request.headers.get(DEPTH) or b"0"
    return int(told) if told.isdigit() and len(told) < 3 else MAX_DEPTH


async def _source(response: Response) -> str:
    try:
        data = await read_all(response.body, MAX_FILE)
    except (BodyAborted, ValueError) as error:
        if not isinstance(response.body, bytes):
            await response.body.aclose()
        raise HttpError(
            502, f"a template of more than {MAX_FILE} bytes, or cut: {error}"
        ) from error
    return data.decode("utf-8", "surrogateescape")
