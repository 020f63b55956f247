"""JSON answers of the REST interface, and what its refusals mean in HTTP."""

from __future__ import annotations

import json
from typing import Any

from quantum.http.headers import Field, Headers
from quantum.http.message import Response
from services.sync.share.folder import InTheWay, NotThere
from services.sync.share.incoming import TooLarge
from services.sync.share.paths import PathRefused


class Refused(Exception):
    """A request that ends in an error status, said in JSON to a program."""

    def __init__(self, status: int, problem: str, *fields: Field) -> None:
        super().__init__(status, problem)
        self.status = status
        self.problem = problem
        self.fields = fields


REFUSALS = (Refused, NotThere, InTheWay, PathRefused, TooLarge)
"""What a route of the interface may raise to be answered."""

_STATUS = {NotThere: 404, InTheWay: 409, PathRefused: 400, TooLarge: 413}


def answer_json(status: int, value: Any, *fields: Field) -> Response:
    """Return ``value`` as JSON that is not kept by caches."""
    headers = Headers(
        [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *fields]
    )
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, headers, body)


def refusal(error: Exception) -> Response:
    """Return the answer for one of REFUSALS: {"error": "…"}."""
    if isinstance(error, Refused):
        return answer_json(error.status, {"error": error.problem}, *error.fields)
    if isinstance(error, NotThere):
        return answer_json(404, {"error": f"there is no {error}"})
    return answer_json(_STATUS[type(error)], {"error": str(error)})
