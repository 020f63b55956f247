"""Fields that middleware sets before there is an answer, and how they meet the answer's own.

In Caddy all handlers share one header map: a ``headers`` handler that is not deferred writes into it
first, whoever answers writes into it later. Here the early ones wait in ``Request.response_fields``
and are merged where the answer is made, so that each answerer has Caddy's outcome:

- a static answer replaces fields of the same name (``static_response`` does this itself);
- a file keeps an early ``Content-Type`` and ``ETag`` and replaces the others;
- a proxied answer adds its own beside the early ones, and an early ``Server`` gives way to Via;
- an error's answer, and the empty one at a chain's end, carry the early fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quantum.http.handler import Next
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response

ADDING_HANDLERS = frozenset({"http.handlers.reverse_proxy"})
"""Handlers whose answer adds to early fields of the same name."""

KEPT_EARLY = frozenset({b"content-type", b"etag"})
"""Fields that a file handler only sets where nobody did before."""


def early_fields(request: Request) -> Headers:
    """Return the early fields of ``request``, to be changed."""
    fields = request.response_fields
    if fields is None:
        fields = request.response_fields = Headers()
    return fields


def replacing(early: Headers, own: Headers) -> Headers:
    """Return ``early`` with every field of ``own`` in place of those of its name."""
    names = {name for name, _ in own.fields}
    kept = [field for field in early.fields if field[0] not in names]
    return Headers(kept + own.fields)


def merging(answer: Next, handler_id: str) -> Next:
    """Return the terminal handler ``answer`` such that its answers carry the early fields."""
    join = _join_added if handler_id in ADDING_HANDLERS else _join_kept

    def answering(request: Request) -> Awaitable[Response]:
        if request.response_fields is None:
            return answer(request)
        return _merged(answer, request, join)

    return answering


async def _merged(
    answer: Next, request: Request, join: Callable[[list[Field], list[Field]], list[Field]]
) -> Response:
    response = await answer(request)
    early = request.response_fields
    if early is None or not early.fields:
        return response
    fields = join(early.fields, response.headers.fields)
    return replaced(response, Headers(fields))


def added_to_early(response: Response, request: Request) -> Response:
    """Return a proxied answer with the early fields of ``request`` beside its own."""
    early = request.response_fields
    if early is None or not early.fields:
        return response
    return replaced(response, Headers(_join_added(early.fields, response.headers.fields)))


def replaced(response: Response, headers: Headers) -> Response:
    """Return ``response`` with other fields; the given one may be shared and stays as it is."""
    return Response(
        response.status,
        headers,
        response.body,
        upgrade=response.upgrade,
        close=response.close,
        abort=response.abort,
    )


def _join_added(early: list[Field], own: list[Field]) -> list[Field]:
    return [field for field in early if field[0] != b"server"] + own


def _join_kept(early: list[Field], own: list[Field]) -> list[Field]:
    kept = {name for name, _ in early if name in KEPT_EARLY}
    own = [field for field in own if field[0] not in kept]
    names = {name for name, _ in own}
    return [field for field in early if field[0] not in names] + own
