"""``http.handlers.file_sync``: one share over REST (``/api/*``), WebSocket (``/ws``) and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantum.config.units import Secret
from quantum.errors import ConfigError, HttpError, unusable
from quantum.http.handler import Handler
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.modules.lifetime import Provision
from quantum.wire.websocket import accept_deflate
from services.sync.access.limits import DeletionGuard, Rates
from services.sync.access.tokens import ANYONE, NOBODY, READER, Principal, TokenRefused, read_token
from services.sync.api.call import Desk
from services.sync.api.operating import Operator
from services.sync.api.rest import Rest
from services.sync.config import SHORTEST_KEY, FileSyncConfig
from services.sync.live.client import Client
from services.sync.live.hub import Hub
from services.sync.origin import answer_across_origins, is_welcome
from services.sync.page import Page
from services.sync.share.share import Share
from services.sync.shares import Shares

WEBSOCKET_VERSION = b"13"
_BEARER = b"bearer "


class FileSync:
    """One handler: the rules of its configuration over a share that other handlers may share."""

    def __init__(self, config: FileSyncConfig, provision: Provision) -> None:
        shares: Shares = provision.get(Shares)
        opened = shares.open(config)
        provision.on_cleanup(opened.aclose)
        self._config = config
        self._key = _key(config, provision.path)
        self._share: Share = opened.share
        self._hub: Hub = opened.hub
        self._page = Page()
        self._rates = Rates(config.max_rate, shares.clock)
        guard = DeletionGuard(config.max_delete_files, config.max_delete_percent, shares.clock)
        desk = Desk(self._share, config, guard, shares.metrics)
        self._rest = Rest(desk, self._rates, self._admit, self._facts)
        self._room = Operator(desk, self._rates, self._admit_token)

    async def handle(self, request: Request) -> Response:
        """Answer, or accept a WebSocket; HttpError only for what is neither API nor page."""
        path = request.path
        if path == "/ws":
            return self._accept(request)
        if path == "/api" or path.startswith("/api/"):
            allowed = self._config.allowed_origins
            return await answer_across_origins(request, allowed, self._rest.handle)
        return self._page.answer(request)

    def _facts(self) -> dict[str, Any]:
        head = self._share.tree.head
        clients = [
            {"client": c.client_id, "applied": s.applied, "behind": head - s.applied}
            for c in self._hub.clients
            if (s := c.subscription) is not None
        ]
        return {"clients": len(self._hub.clients), "subscribers": clients[:100]}

    def _admit(self, request: Request) -> Principal:
        """Return who asks, by the token that the request carries."""
        if self._key is None:
            return ANYONE
        given = request.headers.get(b"authorization")
        if given is None:
            rule = self._config.require_token
            return NOBODY if rule == "all" else READER
        if not given[: len(_BEARER)].lower() == _BEARER:
            raise TokenRefused("Authorization is no Bearer token")
        return self._admit_token(given[len(_BEARER) :].strip().decode("latin-1"))

    def _admit_token(self, token: str) -> Principal:
        key = self._key
        if key is None:
            return ANYONE
        share, revoked = self._share, self._config.revoked_tokens
        return read_token(key.reveal(), token, share.name, share.now(), revoked)

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
        self._check_room(request.client_ip)
        try:
            principal = self._admit(request)
        except TokenRefused as error:
            raise HttpError(401, str(error), ((b"www-authenticate", b"Bearer"),)) from None
        agreed = accept_deflate(request.headers.joined(b"sec-websocket-extensions"))
        deflates = agreed is not None
        client = Client(self._hub, self._room, principal, request.client_ip, deflates=deflates)
        headers = Headers([(b"sec-websocket-extensions", agreed)] if agreed is not None else [])
        return Response(101, headers, upgrade=client.run)

    def _check_room(self, address: str) -> None:
        if len(self._hub.clients) >= self._config.max_clients:
            raise HttpError(503, "too many clients", ((b"retry-after", b"10"),))
        most = self._config.max_clients_per_address
        if most and sum(client.address == address for client in self._hub.clients) >= most:
            raise HttpError(503, "too many clients at this address", ((b"retry-after", b"10"),))


def _key(config: FileSyncConfig, path: str) -> Secret | None:
    """Return the key of tokens; ConfigError when its file cannot be used."""
    if not config.token_key_file:
        return config.token_key
    try:
        text = Path(config.token_key_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(f"{path}.token_key_file", error) from None
    if len(text) < SHORTEST_KEY:
        raise ConfigError(
            f"{path}.token_key_file", f"the key has fewer than {SHORTEST_KEY} characters"
        )
    return Secret(text)


_: type[Handler] = FileSync
