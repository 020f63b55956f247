"""``http.handlers.static_response``: when nothing in it depends on the request, made once for all.

Fields replace those of the same name that middleware set before; a body without a Content-Type gets
one: JSON by its look, else plain text. On an error chain the status defaults to the error's.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from quantum.errors import HttpError
from quantum.http.failure import failed_status
from quantum.http.handler import Next
from quantum.http.header_ops import encode_value
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import Mode, compile_template, constant
from quantum.http.response_fields import early_fields, replacing
from quantum.modules.lifetime import Provision
from services.edge.handler_configs import StaticResponseConfig

EARLY_HINTS = 103
_PLAIN: Field = (b"content-type", b"text/plain; charset=utf-8")
_JSON: Field = (b"content-type", b"application/json")

Status = Callable[[Request], int]
Fields = Callable[[Request], Headers]


class StaticResponse:
    """Answers without asking anyone."""

    def __init__(self, config: StaticResponseConfig, provision: Provision) -> None:
        self._config = config
        self._status = _status(config.status_code)
        self._fields = _fields(config.headers)
        self._body = compile_template(config.body, Mode.KNOWN)

    def link(self, following: Next) -> Next:
        """Return the link; ``following`` is called after early hints only."""
        if self._config.abort:
            return _always(Response(444, abort=True))
        if self._config.status_code == str(EARLY_HINTS):
            return self._hinting(following)
        if (status := self._fixed_status()) is None or not self._is_constant():
            return self._answer
        return self._shared(status)

    def _fixed_status(self) -> int | None:
        text = self._config.status_code
        return int(text) if text and "{" not in text else None if text else 200

    def _is_constant(self) -> bool:
        texts = [
            *self._config.headers,
            *(v for vs in self._config.headers.values() for v in vs or ()),
        ]
        return constant(self._config.body, Mode.KNOWN) is not None and all(
            constant(text) is not None for text in texts
        )

    def _shared(self, status: int) -> Next:
        """Return the link that gives every request the same response, unless fields wait for it."""
        body = constant(self._config.body, Mode.KNOWN) or ""
        response = self._make(status, _constant_fields(self._config.headers), body)
        is_ready = _always(response)
        depends_on_error = not self._config.status_code

        def answering(request: Request) -> Awaitable[Response]:
            if request.response_fields is None and not (depends_on_error and request.has_vars):
                return is_ready(request)
            return self._answer(request)

        return answering

    async def _answer(self, request: Request) -> Response:
        fields = self._fields(request)
        if request.response_fields is not None:
            fields = replacing(request.response_fields, fields)
        return self._make(self._status(request), fields, self._body(request))

    def _make(self, status: int, headers: Headers, body: str) -> Response:
        content = body.encode("utf-8", "surrogateescape")
        if content and not headers.get(b"content-type"):
            headers.remove(b"content-type")
            headers.fields.append(_JSON if is_json(body) else _PLAIN)
        return Response(status, headers, content, close=self._config.close)

    def _hinting(self, following: Next) -> Next:
        def hint(request: Request) -> Awaitable[Response]:
            early = early_fields(request)
            early.fields = replacing(early, self._fields(request)).fields
            if request.informational is not None:
                request.informational(EARLY_HINTS, early.copy())
            return following(request)

        return hint


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


def _status(text: str) -> Status:
    if not text:
        return lambda request: failed_status(request) or 200
    expand = compile_template(text)

    def status(request: Request) -> int:
        code = expand(request)
        if not (code.isdecimal() and 100 <= int(code) <= 999):
            raise HttpError(500, f"status_code {text!r} became {code!r}")
        return int(code)

    return status


def _constant_fields(configured: dict[str, list[str] | None]) -> Headers:
    return Headers([
        ((constant(name) or "").lower().encode(), encode_value(constant(value) or ""))
        for name, values in configured.items()
        for value in values or ()
    ])  # fmt: skip


def _fields(configured: dict[str, list[str] | None]) -> Fields:
    templates = [
        (compile_template(name), compile_template(value))
        for name, values in configured.items()
        for value in values or ()
    ]
    return lambda request: Headers([
        (encode_value(name(request)).lower(), encode_value(value(request)))
        for name, value in templates
    ])  # fmt: skip
