"""``verbose_logs``: what one exchange with an upstream does, step by step, for who looks for a fault at level debug."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from quantum.http.body import Body
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.wire.h1.head import SECRET_FIELDS

if TYPE_CHECKING:
    import structlog


def tell(
    log: structlog.stdlib.BoundLogger,
    upstream: str,
    request: Request,
    response: Response,
    took: float,
) -> None:
    """Log an answer, without what may be a secret, and see to it that its body is logged, too."""
    bound = log.bind(upstream=upstream, request_id=request.id)
    fields = [
        (name.decode("latin-1"), "REDACTED" if name in SECRET_FIELDS else value.decode("latin-1"))
        for name, value in response.headers
    ]
    body = response.body
    size = len(body) if isinstance(body, bytes) else body.length
    bound.debug(
        "upstream_answered", method=request.method, target=request.path, status=response.status,
        seconds=round(took, 6), headers=fields, bytes=size,
    )  # fmt: skip
    if not isinstance(body, bytes):
        response.body = ToldBody(body, bound)


class ToldBody:
    """A body each piece of which is logged, and its end."""

    __slots__ = ("_began", "_body", "_log", "_sent", "length", "trailers")

    def __init__(self, body: Body, log: structlog.stdlib.BoundLogger) -> None:
        self._body = body
        self._log = log
        self._began = monotonic()
        self._sent = 0
        self.length = body.length
        self.trailers: Headers | None = None

    def __aiter__(self) -> ToldBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._body.__anext__()
        except StopAsyncIteration:
            self.trailers = self._body.trailers
            self._tell("upstream_body_ended")
            raise
        except Exception as error:
            self._tell("upstream_body_broke_off", reason=str(error))
            raise
        self._sent += len(chunk)
        self._log.debug("upstream_body_passed", bytes=len(chunk))
        return chunk

    def _tell(self, event: str, **facts: str) -> None:
        self._log.debug(
            event, bytes=self._sent, seconds=round(monotonic() - self._began, 6), **facts
        )

    async def aclose(self) -> None:
        """Give up what is left."""
        await self._body.aclose()
