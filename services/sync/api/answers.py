"""JSON answers of the REST interface, and what its refusals mean in HTTP."""

from __future__ import annotations

import errno
import json
from typing import Any

from quantum.errors import BusFull, BusUnavailable
from quantum.http.headers import Field, Headers
from quantum.http.message import Response
from services.sync.access.limits import NeedsConfirmation, TooFast
from services.sync.access.tokens import TokenRefused
from services.sync.disk.folder import InTheWay, NotThere
from services.sync.disk.incoming import TooLarge
from services.sync.rules.conditions import Conflicted
from services.sync.share.paths import PathRefused

_CODES = {
    400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "invalid",
    409: "refused", 410: "rescan", 412: "conflict", 413: "too_large", 428: "confirm",
    429: "rate", 503: "unavailable", 507: "full",
}  # fmt: skip


class Refused(Exception):
    """A request that ends in an error status, said in JSON to a program."""

    def __init__(
        self, status: int, problem: str, *fields: Field, code: str = "", **more: Any
    ) -> None:
        super().__init__(status, problem)
        self.status = status
        self.problem = problem
        self.fields = fields
        self.code = code or _CODES.get(status, "")
        self.more = more

    def __str__(self) -> str:
        return self.problem


REFUSALS = (
    Refused, NotThere, InTheWay, PathRefused, TooLarge, Conflicted, NeedsConfirmation, TooFast,
    TokenRefused, BusUnavailable,
)  # fmt: skip
"""What a route of the interface may raise to be answered."""


def answer_json(status: int, value: Any, *fields: Field) -> Response:
    """Return ``value`` as JSON that is not kept by caches."""
    headers = Headers(
        [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *fields]
    )
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, headers, body)


def refused(error: Exception) -> Refused:
    """Return what one of REFUSALS means."""
    match error:
        case Refused():
            return error
        case NotThere():
            return Refused(404, f"there is no {error}")
        case InTheWay():
            return Refused(409, str(error))
        case PathRefused():
            return Refused(400, str(error))
        case TooLarge():
            return Refused(413, str(error))
        case Conflicted():
            return _conflict(error)
        case NeedsConfirmation():
            return Refused(428, str(error), confirm=error.confirm, affected=error.affected)
        case TooFast():
            seconds = b"%d" % max(1, round(error.retry_after + 0.5))
            return Refused(429, str(error), (b"retry-after", seconds))
        case TokenRefused():
            return Refused(401, str(error), (b"www-authenticate", b"Bearer"))
        case BusFull():
            said = "NATS has no room for it: raise its max_file_store or the stream's max_bytes"
            return Refused(507, said)
        case _:
            said = "the log cannot be reached; what was asked may have been done: ask again"
            return Refused(503, said, (b"retry-after", b"1"))


def _conflict(error: Conflicted) -> Refused:
    current = error.current
    if current is None:
        return Refused(412, str(error), current=None)
    fields: list[Field] = [(b"sync-version", b"%d" % current.version)]
    if current.hash:
        fields.append((b"etag", f'"{current.hash}"'.encode()))
    return Refused(
        412, str(error), *fields, current={**current.to_json(), "version": current.version}
    )


def refusal(error: Exception) -> Response:
    """Return the answer for one of REFUSALS: {"error": "…", "code": "…"}."""
    said = refused(error)
    return answer_json(
        said.status, {"error": said.problem, "code": said.code, **said.more}, *said.fields
    )


def full(error: OSError) -> Refused | None:
    """Return what a full disk means; None for another failure."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Refused(507, "the disk of this share is full")
    return None
