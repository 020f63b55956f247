"""``http.handlers.log_append``: one more field in the access log's record of a request."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from quantum.http.body import Body
from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import find
from quantum.http.response_fields import replaced
from quantum.modules.lifetime import Provision
from quantum.telemetry.access import EXTRA_VAR
from services.edge.observing.config import LogAppendConfig

MAX_BODY = 64 * 1024
"""Bytes of an answer's body in a record: what a log line can bear."""

_EARLY = frozenset({"{http.request.body}", "{http.request.body_base64}"})
"""Gone when the answer comes, so they are read before (Caddy)."""


class LogAppend:
    """Adds the field. An answer's body is overheard as it passes: it is neither held nor changed."""

    def __init__(self, config: LogAppendConfig, provision: Provision) -> None:
        self._key, self._value = config.key, config.value
        self._early = config.early or config.value in _EARLY
        self._read = _reader(config.value)

    def link(self, following: Next) -> Next:
        """Return the link for the moment that is configured."""
        if self._value == "{http.response.body}":
            return self._overhearing(following, lambda data: data.decode("utf-8", "replace"))
        if self._value == "{http.response.body_base64}":
            return self._overhearing(following, lambda data: base64.b64encode(data).decode())
        return self._before(following) if self._early else self._after(following)

    def _before(self, following: Next) -> Next:
        def early(request: Request) -> Awaitable[Response]:
            self._add(request, self._read(request))
            return following(request)

        return early

    def _after(self, following: Next) -> Next:
        async def late(request: Request) -> Response:
            try:
                return await following(request)
            finally:  # an error has its record as well
                self._add(request, self._read(request))

        return late

    def _overhearing(self, following: Next, show: Callable[[bytes], str]) -> Next:
        async def overheard(request: Request) -> Response:
            response = await following(request)
            body = response.body
            if isinstance(body, bytes):
                self._add(request, show(body[:MAX_BODY]))
                return response
            response = replaced(response, response.headers)
            response.body = _Overheard(body, lambda data: self._add(request, show(data)))
            return response

        return overheard

    def _add(self, request: Request, value: Any) -> None:
        request.vars.setdefault(EXTRA_VAR, {})[self._key] = value


def _reader(value: str) -> Callable[[Request], Any]:
    """Return what gives the value: a placeholder's text, a variable as it is, or the text itself."""
    if value.startswith("{") and value.endswith("}") and value.count("{") == 1:
        return find(value[1:-1])
    return lambda request: request.vars.get(value, value) if request.has_vars else value


class _Overheard:
    """A body that tells what of it has passed, up to a bound."""

    def __init__(self, body: Body, tell: Callable[[bytes], None]) -> None:
        self._body = body
        self._tell = tell
        self._heard = bytearray()
        self.length = body.length
        self.trailers: Headers | None = None

    def __aiter__(self) -> _Overheard:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._body.__anext__()
        except StopAsyncIteration:
            self.trailers = self._body.trailers
            raise
        room = MAX_BODY - len(self._heard)
        if room > 0:
            self._heard += chunk[:room]
            self._tell(bytes(self._heard))
        return chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()
