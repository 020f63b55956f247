"""``http.handlers.static_response``: when nothing in it depends on the request, made once for all.

Fields replace those of the same name that middleware set before; a body without a Content-Type gets
one: JSON by its look, else plain text. On an error chain the status defaults to the error's.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from quantum.errors import HttpError
from quantum.http.failure import failed_status
from quantum.http.handler import Next
from quantum.http.header_ops import encode_value
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import Mode, compile_template, constant
from quantum.http.response_fields import early_fields, replacing
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import StaticResponseConfig

EARLY_HINTS = 103
_PLAIN: Field = (b"content-type", b"text/plain; charset=utf-8")
_JSON: Field = (b"content-type", b"application/json")


class StaticResponse:
    """Answers without asking anyone."""

    def __init__(self, config: StaticResponseConfig, provision: Provision) -> None:
        self._config = config
        self._status = _status(config.status_code)
        self._fields = _fields(config.headers)
        self._content = _content(config.body)

    def link(self, following: Next) -> Next:
        """Return the link; ``following`` is called after early hints only."""
        if self._config.abort:
            return _always(Response(444, abort=True))
        if self._config.status_code == str(EARLY_HINTS):
            return self._hinting(following)
        status, fields, content = self._status, self._fields, self._content
        if isinstance(status, int) and isinstance(fields, Headers) and isinstance(content, Content):
            return self._shared(self._make(status, fields, content))
        return self._answer

    def _shared(self, response: Response) -> Next:
        """Return the link that gives every request the same response, unless fields wait for it."""
        is_ready = _always(response)
        follows_error = not self._config.status_code

        def answering(request: Request) -> Awaitable[Response]:
            if request.response_fields is None and not (follows_error and request.has_vars):
                return is_ready(request)
            return self._answer(request)

        return answering

    async def _answer(self, request: Request) -> Response:
        status = self._status if isinstance(self._status, int) else self._status(request)
        if not self._config.status_code:
            status = failed_status(request) or status
        content = self._content if isinstance(self._content, Content) else self._content(request)
        return self._make(status, self._own_fields(request), content)

    def _own_fields(self, request: Request) -> Headers:
        own = self._fields if isinstance(self._fields, Headers) else self._fields(request)
        early = request.response_fields
        return own if early is None else replacing(early, own)

    def _make(self, status: int, headers: Headers, content: Content) -> Response:
        if content.data and not headers.get(b"content-type"):
            kept = [field for field in headers.fields if field[0] != b"content-type"]
            headers = Headers([*kept, content.type])
        return Response(status, headers, content.data, close=self._config.close)

    def _hinting(self, following: Next) -> Next:
        def hint(request: Request) -> Awaitable[Response]:
            early = early_fields(request)
            early.fields = self._own_fields(request).fields.copy()
            if request.informational is not None:
                request.informational(EARLY_HINTS, early.copy())
            return following(request)

        return hint


class Content(NamedTuple):
    """A body, and the field that describes it if nothing else does."""

    data: bytes
    type: Field


def _content(template: str) -> Content | Callable[[Request], Content]:
    text = constant(template, Mode.KNOWN)
    if text is not None:
        return _described(text)
    expand = compile_template(template, Mode.KNOWN)
    return lambda request: _described(expand(request))


def _described(text: str) -> Content:
    return Content(text.encode("utf-8", "surrogateescape"), _JSON if is_json(text) else _PLAIN)


def is_json(body: str) -> bool:
    """Whether ``body`` is a JSON object or array, as Caddy tells it."""
    content = body.strip()
    if len(content) <= 2 or content[0] + content[-1] not in {"{}", "[]"}:
        return False
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _always(response: Response) -> Next:
    async def answer(request: Request) -> Response:
        return response

    return answer


def _status(text: str) -> int | Callable[[Request], int]:
    fixed = constant(text or "200")
    if fixed is not None:
        return int(fixed)
    expand = compile_template(text)

    def status(request: Request) -> int:
        code = expand(request)
        if not (code.isdecimal() and 100 <= int(code) <= 999):
            raise HttpError(500, f"status_code {text!r} became {code!r}")
        return int(code)

    return status


def _fields(configured: dict[str, list[str] | None]) -> Headers | Callable[[Request], Headers]:
    pairs = [(name, value) for name, values in configured.items() for value in values or ()]
    fixed = [(constant(name), constant(value)) for name, value in pairs]
    if all(name is not None and value is not None for name, value in fixed):
        return Headers([_field(name or "", value or "") for name, value in fixed])
    templates = [(compile_template(name), compile_template(value)) for name, value in pairs]
    return lambda request: Headers(
        [_field(name(request), value(request)) for name, value in templates]
    )


def _field(name: str, value: str) -> Field:
    return encode_value(name).lower(), encode_value(value)
