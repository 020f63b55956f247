"""Operations as they happen: the WebSocket of a share, connected again whenever it breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

import aiohttp
import structlog
from yarl import URL

from quantum.clock import Clock
from services.sync.client.remote.api import Json, Unauthorized
from services.sync.client.remote.http import change_of
from services.sync.client.remote.view import RemoteView
from services.sync.client.session import Session
from services.sync.client.settings import FIRST_RETRY, LONGEST_RETRY

HEARTBEAT_SECONDS = 30.0
"""Between pings: a connection that died silently is noticed within a minute."""

CONFIRM_SECONDS = 0.5
"""Between telling the server up to where we have applied its log: it wants it once a second."""


class Live:
    """Feeds a session. ``run`` ends only by Unauthorized."""

    def __init__(
        self, http: aiohttp.ClientSession, url: URL, view: RemoteView, session: Session,
        client: str, token: str, clock: Clock, random: Random,
    ) -> None:  # fmt: skip
        self._http = http
        self._url = url
        self._view = view
        self._session = session
        self._client = client
        self._token = token
        self._clock = clock
        self._random = random
        self._log = structlog.get_logger("quantum.sync.client")
        self._confirmed = 0
        self.is_connected = False

    async def run(self) -> None:
        """Connect, listen, connect again; waits longer after each failure."""
        failures = 0
        while True:
            try:
                async with self._http.ws_connect(self._url, heartbeat=HEARTBEAT_SECONDS) as socket:
                    async for _ in self._listen(socket):
                        failures = 0
            except aiohttp.WSServerHandshakeError as error:
                if error.status == 401:
                    raise Unauthorized("the server does not accept the token") from error
                self._log.info("live_refused", status=error.status)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                self._log.info("live_lost", reason=str(error) or type(error).__name__)
            finally:
                self.is_connected = False
            failures += 1
            longest = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures, 10))
            await self._clock.sleep(self._random.uniform(longest / 2, longest))

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[None]:
        await socket.send_str(json.dumps(self._subscription()))
        confirming = asyncio.get_running_loop().create_task(self._confirm(socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._hear(json.loads(message.data))
                    yield
        finally:
            confirming.cancel()

    def _subscription(self) -> Json:
        message: Json = {"type": "Subscribe", "client_id": self._client, "protocol": 2}
        if self._view.has_cursor and self._view.is_known:
            message |= {"resume_from": self._view.cursor, "log": self._view.log}
        if self._token:
            message["token"] = self._token
        return message

    def _hear(self, message: Json) -> None:
        kind = message.get("type")
        if kind == "FileOperation":
            self._session.changed_there(change_of(message))
        elif kind == "Ack" and message.get("operation_id") == "subscribe":
            self.is_connected = True
            is_same = bool(self._view.log) and message.get("log") == self._view.log
            self._session.connected(is_complete=is_same and self._view.is_known)
        elif kind == "Error":
            self._fail(message)

    def _fail(self, message: Json) -> None:
        code = message.get("code")
        if code == "rescan":
            self._session.must_list(int(message.get("resume_from") or 0))
        elif code in {"unauthorized", "forbidden"}:
            raise Unauthorized(str(message.get("message")))
        else:
            self._log.warning("live_error", reason=message.get("message"), code=code)

    async def _confirm(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not socket.closed:
            await self._clock.sleep(CONFIRM_SECONDS)
            if self._view.log and self._view.cursor > self._confirmed:
                self._confirmed = self._view.cursor
                ack = {"type": "Ack", "operation_id": "applied", "seq": self._confirmed}
                await socket.send_str(json.dumps(ack))
