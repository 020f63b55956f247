"""What one room asks of another's service, over the hop: small answers, whole."""

from __future__ import annotations

from quantum.errors import HttpError
from quantum.hop.resolve import SERVICE_REVISION, Hop
from quantum.http.body import read_all
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that are taken: ten thousand upstreams are one or two megabytes."""

_HERE = ConnectionFacts(("", 0), ("", 0), "http", server="-")


async def ask(hop: Hop, room: str, service: str, path: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of ``GET path`` at a room's service.

    HttpError is the room's refusal, or 503 when no process of the deployment runs it.
    """
    try:
        handler = hop.handler(room, SERVICE_REVISION, service)
    except KeyError:
        raise HttpError(503, f"the room {room} is not ready") from None
    request = Request("GET", "http", room, path, None, Headers(), b"", _HERE)
    response = await handler.handle(request)
    content_type = response.headers.get(b"content-type", b"application/json") or b""
    try:
        body = await read_all(response.body, MAX_ANSWER)
    except ValueError as error:
        raise HttpError(502, f"{room}: {error}") from error
    return response.status, content_type.decode("latin-1"), body
