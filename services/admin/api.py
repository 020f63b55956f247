"""Caddy's admin API over a RevisionStore: methods, paths, status codes.

Errors are ``{"error": …}``. What one request changes is one revision, validated and applied before it
is answered; requests that change something are taken one at a time, in the order they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from prometheus_client import generate_latest

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.values.encoding import encode as encode_document
from quantum.config.load import MAX_DOCUMENT_BYTES, index_ids, parse_json
from quantum.errors import BusUnavailable, ConfigError, HttpError
from quantum.hop.neighbours import ask
from quantum.service.api import ServiceContext
from services.admin import tree
from services.admin.caddyfile import adapt_caddyfile
from services.admin.dashboard import files as dashboard
from services.admin.origin import is_form
from services.admin.store import Outcome, RevisionStore

READ_SECONDS = 10.0
"""Time for a request's body: Caddy's."""

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Answer = Callable[[web.Request, str], Awaitable[web.Response]]


class AdminApi:
    """The paths of the API. ``handle`` answers one request that was let in."""

    def __init__(self, context: ServiceContext, store: RevisionStore) -> None:
        self._context = context
        self._store = store
        self._answers: dict[str, Answer] = {
            "config": self._config,
            "id": self._id,
            "load": self._load,
            "adapt": self._adapt,
            "stop": self._stop,
            "metrics": self._metrics,
            "pki": self._pki,
            "reverse_proxy": self._reverse_proxy,
            "certificates": self._certificates,
            "revisions": self._revisions,
            "rooms": self._rooms,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer; every failure that is somebody's mistake becomes a status and a sentence."""
        path = request.raw_path.partition("?")[0]
        head = path.strip("/").partition("/")[0]
        try:
            answer = self._answers.get(head)
            if answer is not None:
                return await answer(request, path)
            _only(request, "GET")
            return dashboard.serve(path)
        except tree.TreeError as error:
            return error_answer(error.status, str(error))
        except ConfigError as error:
            return error_answer(400, str(error))
        except HttpError as error:
            headers = {name.decode(): value.decode() for name, value in error.headers}
            return error_answer(error.status, error.reason, headers)
        except BusUnavailable as error:
            return error_answer(503, f"the bus is away: {error}")

    # The configuration.

    async def _config(self, request: web.Request, path: str) -> web.Response:
        inside = path.strip("/").removeprefix("config")
        if request.method in {"GET", "HEAD"}:
            try:
                body = tree.encode(tree.read(self._store.document, inside))
            except tree.TreeError as error:
                raise tree.TreeError(400, str(error)) from error
            etag = {"Etag": tree.etag(path, body)}
            return web.Response(body=body, content_type="application/json", headers=etag)
        _only(request, *WRITES)
        value = None if request.method == "DELETE" else await _read_json(request)

        def edit(document: Any) -> Any:
            if (expected := request.headers.get("If-Match")) is not None:
                tree.check_if_match(document, expected)
            changed = tree.change(document, request.method, inside, value)
            return _emptied(document) if changed is None else changed

        return _applied(await self._change(request, edit))

    async def _id(self, request: web.Request, path: str) -> web.Response:
        _, _, rest = path.strip("/").partition("/")
        name, slash, below = rest.partition("/")
        if not name:
            raise HttpError(400, "request path is missing object ID")
        places = index_ids(self._store.document or {})
        steps = places.get(unquote(name))
        if steps is None:
            raise HttpError(404, f"unknown object ID {unquote(name)!r}")
        return await self._config(request, f"/config{tree.path_of(steps)}{slash}{below}")

    async def _load(self, request: web.Request, _: str) -> web.Response:
        _only(request, "POST")
        document, notices = await _read_document(request)

        def replace(current: Any) -> Any:
            if (expected := request.headers.get("If-Match")) is not None:
                tree.check_if_match(current, expected)
            return document

        answer = _applied(await self._change(request, replace))
        if notices:
            answer.headers["Content-Type"] = "application/json"
            answer.body = tree.encode({"warnings": notices})
        return answer

    async def _adapt(self, request: web.Request, _: str) -> web.Response:
        _only(request, "POST")
        document, notices = await _read_document(request)
        if not _is_caddyfile(request):
            document = self._context.switch.parse(document).document
        told = {"warnings": notices} if notices else {}
        body = encode_document({**told, "result": document}).encode() + b"\n"
        return web.Response(body=body, content_type="application/json")

    async def _change(self, request: web.Request, make: Callable[[Any], Any]) -> Outcome:
        author = request.headers.get("Quantum-Author") or f"admin API, {request.remote or 'unix'}"
        must_apply = request.headers.get("Cache-Control") == "must-revalidate"
        # A client that goes away does not stop half a change.
        return await asyncio.shield(self._store.change(make, author, must_apply=must_apply))

    async def _revisions(self, request: web.Request, path: str) -> web.Response:
        """List what was in force; ``POST /revisions/<id>/activate`` goes back to it."""
        match [unquote(part) for part in path.strip("/").split("/")[1:]]:
            case []:
                _only(request, "GET")
                return _json(await self._list_revisions())
            case [wanted]:
                _only(request, "GET")
                return _json((await self._find_revision(wanted)).document)
            case [wanted, "activate"]:
                _only(request, "POST")
                document = (await self._find_revision(wanted)).document
                return _applied(await self._change(request, lambda _: document))
        raise HttpError(404, "no such path")

    async def _list_revisions(self) -> list[dict[str, Any]]:
        active = self._context.switch.active
        return [
            {
                "revision": found.revision,
                "author": found.author,
                "at": found.at.isoformat(),
                "active": active is not None and active.id == found.revision,
            }
            for found in await self._store.revisions()
        ]

    async def _find_revision(self, wanted: str) -> Any:
        for found in await self._store.revisions():
            if found.revision == wanted:
                return found
        raise HttpError(404, f"no revision {wanted!r} is kept")

    # The rest.

    async def _stop(self, request: web.Request, _: str) -> web.Response:
        _only(request, "POST")
        self._context.stop_process("asked by the admin API")
        return web.Response()

    async def _metrics(self, request: web.Request, _: str) -> web.Response:
        _only(request, "GET")
        body = generate_latest(self._context.metrics)
        return web.Response(
            body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _rooms(self, request: web.Request, _: str) -> web.Response:
        """Which processes run which rooms, as they say themselves; not of Caddy's API."""
        _only(request, "GET")
        found = await self._store.presences()
        return _json([presence.model_dump(exclude={"address"}) for presence in found])

    async def _reverse_proxy(self, request: web.Request, path: str) -> web.Response:
        _only(request, "GET")
        if path.strip("/") != "reverse_proxy/upstreams":
            raise HttpError(404, "no such path")
        return await self._ask("proxy", "upstreams", path)

    async def _pki(self, request: web.Request, path: str) -> web.Response:
        _only(request, "GET")
        return await self._ask("certs", "pki", path)

    async def _certificates(self, request: web.Request, path: str) -> web.Response:
        """What certificates there are; the path of one, which would show its key, is not offered."""
        _only(request, "GET")
        if path.strip("/") != "certificates":
            raise HttpError(404, "no such path")
        return await self._ask("certs", "certificates", "/certificates")

    async def _ask(self, room: str, service: str, path: str) -> web.Response:
        status, content_type, body = await ask(self._context.hop, room, service, path)
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})


async def _read_document(request: web.Request) -> tuple[Any, list[dict[str, Any]]]:
    """Return the body as a document: JSON, or a Caddyfile adapted, with what is odd about it."""
    if not _is_caddyfile(request):
        return await _read_json(request), []
    try:
        adapted = await adapt_caddyfile(await _read_body(request))
    except CaddyfileError as error:
        raise HttpError(400, f"adapting config using caddyfile adapter: {error.problem}") from None
    return adapted.document, [notice.to_json() for notice in adapted.notices]


def _is_caddyfile(request: web.Request) -> bool:
    return request.content_type == "text/caddyfile"


async def _read_json(request: web.Request) -> Any:
    """Return the body; it must say that it is JSON, which no page can say without permission."""
    content_type = request.headers.get("Content-Type", "")
    if is_form(content_type):
        raise HttpError(403, f"{content_type}: a web page could send this; use application/json")
    if "/json" not in content_type and "+json" not in content_type:
        raise HttpError(
            400, f"unacceptable content-type: {content_type or 'none'}; 'application/json' required"
        )
    return parse_json(await _read_body(request), "request body")


async def _read_body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise HttpError(408, f"the body did not arrive within {READ_SECONDS:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise HttpError(413, f"larger than {MAX_DOCUMENT_BYTES} bytes") from None


def _emptied(document: Any) -> dict[str, Any]:
    """Return the configuration after everything was deleted.

    Nothing is served, and the admin API stays where it is: it is the only way back.
    """
    admin = document.get("admin") if isinstance(document, dict) else None
    return {"apps": {}} if admin is None else {"admin": admin, "apps": {}}


def _applied(outcome: Outcome) -> web.Response:
    headers = {"Quantum-Revision": outcome.revision.id}
    if not outcome.shared:
        headers["Warning"] = '199 quantum "applied here; shared when the bus is back"'
    elif outcome.waiting_for:
        silent = " ".join(outcome.waiting_for)
        headers["Warning"] = f'199 quantum "no answer yet from: {silent}"'
    return web.Response(headers=headers)


def _only(request: web.Request, *methods: str) -> None:
    allowed = {*methods, *({"HEAD"} if "GET" in methods else set())}
    if request.method not in allowed:
        names = ", ".join(sorted(allowed)).encode()
        raise HttpError(405, "method not allowed", ((b"Allow", names),))


def _json(content: Any) -> web.Response:
    return web.Response(body=tree.encode(content), content_type="application/json")


def error_answer(status: int, problem: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that says what is wrong."""
    return web.Response(
        status=status,
        body=tree.encode({"error": problem}),
        content_type="application/json",
        headers=headers,
    )
