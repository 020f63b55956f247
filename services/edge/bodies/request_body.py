"""``http.handlers.request_body``: bound the body that later handlers read, or give them another."""

from __future__ import annotations

from collections.abc import Awaitable

from quantum.errors import HttpError
from quantum.http.body import Body, BodyAround
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.modules.lifetime import Provision
from services.edge.bodies.config import RequestBodyConfig


class BoundedBody(BodyAround):
    """A body that fails with 413 once it proves longer than allowed; it is closed then."""

    __slots__ = ("_left",)

    def __init__(self, body: Body, limit: int) -> None:
        super().__init__(body)
        self._left = limit

    async def __anext__(self) -> bytes:
        chunk = await self._body.__anext__()
        self._left -= len(chunk)
        if self._left < 0:
            await self._body.aclose()
            raise HttpError(413, "the body is longer than max_size")
        return chunk


class RequestBody:
    """Bounds or replaces the body and goes on."""

    def __init__(self, config: RequestBodyConfig, provision: Provision) -> None:
        self._limit = config.max_size
        self._replacement = compile_template(config.set) if config.set else None

    def link(self, following: Next) -> Next:
        """Return the link."""

        def bound(request: Request) -> Awaitable[Response]:
            if self._replacement is not None:
                _replace(request, self._replacement(request).encode("utf-8", "surrogateescape"))
            if self._limit:
                _bound(request, self._limit)
            return following(request)

        return bound


def _bound(request: Request, limit: int) -> None:
    body = request.body
    length = len(body) if isinstance(body, bytes) else body.length
    if length is not None and length > limit:
        raise HttpError(413, f"a body of {length} bytes is longer than max_size")
    if not isinstance(body, bytes) and length is None:
        request.body = BoundedBody(body, limit)


def _replace(request: Request, body: bytes) -> None:
    request.body = body
    request.headers.set(b"content-length", str(len(body)).encode())
