"""``http.handlers.file_sync``: one share over REST (``/api/*``), WebSocket (``/ws``) and a page."""

from __future__ import annotations

import asyncio
from typing import Any

from quantum.errors import HttpError
from quantum.http.handler import Handler
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.modules.lifetime import Provision
from services.sync import protocol
from services.sync.api.answers import REFUSALS, Refused
from services.sync.api.rest import Rest
from services.sync.config import FileSyncConfig
from services.sync.live import Client, Hub
from services.sync.origin import is_welcome
from services.sync.page import Page
from services.sync.share.operations import content_of
from services.sync.share.paths import parse_path
from services.sync.share.share import Share
from services.sync.shares import Shares

WEBSOCKET_VERSION = b"13"


class FileSync:
    """One handler: the rules of its configuration over a share that other handlers may share."""

    def __init__(self, config: FileSyncConfig, provision: Provision) -> None:
        shares: Shares = provision.get(Shares)
        opened = shares.open(config)
        provision.on_cleanup(opened.aclose)
        self._config = config
        self._share: Share = opened.share
        self._hub: Hub = opened.hub
        self._page = Page()
        self._rest = Rest(self._share, config, self._facts)

    async def handle(self, request: Request) -> Response:
        """Answer, or accept a WebSocket; HttpError only for what is neither API nor page."""
        path = request.path
        if path == "/ws":
            return self._accept(request)
        if path == "/api" or path.startswith("/api/"):
            return await self._rest.handle(request)
        return self._page.answer(request)

    def _facts(self) -> dict[str, Any]:
        return {"clients": len(self._hub.clients)}

    def _accept(self, request: Request) -> Response:
        if request.upgrade != "websocket":
            fields = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
            raise HttpError(426, "/ws speaks WebSocket", fields)
        # The specification's own curl example sends no version: absent means 13.
        version = request.headers.get(b"sec-websocket-version", WEBSOCKET_VERSION)
        if version != WEBSOCKET_VERSION:
            raise HttpError(426, "WebSocket version", ((b"sec-websocket-version", b"13"),))
        if not is_welcome(request, self._config.allowed_origins):
            raise HttpError(403, "this origin may not connect")
        if len(self._hub.clients) >= self._config.max_clients:
            raise HttpError(503, "too many clients", ((b"retry-after", b"10"),))
        return Response(101, Headers(), upgrade=Client(self._hub, self._operate).run)

    async def _operate(self, message: protocol.FileOperation) -> dict[str, Any]:
        """Carry out an operation that a client announced.

        Metadata never comes before content: a file counts as created when its bytes are here, so
        for files this only confirms (upload first, over REST). Deletions, moves and directories
        need no content and are carried out.
        """
        operation = message.operation.model_dump(by_alias=True, mode="json")
        kind, body = content_of(operation)
        try:
            if not self._config.enable_upload:
                raise Refused(403, "this share is read only: enable_upload is off")
            path = await self._carry_out(kind, body, message.source_client)
        except REFUSALS as error:
            problem = error.problem if isinstance(error, Refused) else str(error)
            return protocol.error(f"{kind} refused: {problem}")
        return protocol.ack(f"{kind}:{path}")

    async def _carry_out(self, kind: str, body: dict[str, Any], source: str) -> str:
        if kind == "Delete":
            path = parse_path(body["path"])
            await self._share.remove(path, _always, source)
            return path
        metadata = body["metadata"]
        path = parse_path(metadata["path"])
        if kind == "Move":
            await self._share.move(
                parse_path(body["from"]), parse_path(body["to"]), _always, source
            )
        elif metadata["is_directory"]:
            await self._share.make_directory(path, source)
        else:
            now = await asyncio.to_thread(self._share.tree.describe, path)
            if now is None or now.hash != metadata["hash"]:
                raise Refused(
                    409, f"the content of {path} is not here: PUT /api/files/{path} first"
                )
        return path


def _always(current: object) -> None:
    """Accept whatever is there: the message carries no version to compare with."""


_: type[Handler] = FileSync
