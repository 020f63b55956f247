"""``http.handlers.copy_response`` and ``copy_response_headers``: an upstream's answer, or its fields.

Both belong into the routes of ``handle_response``; anywhere else they fail with 500, as in Caddy.
"""

from __future__ import annotations

from collections.abc import Awaitable

from quantum.errors import HttpError
from quantum.hop.handed_back import HandedBack
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.response_fields import added_to_early, early_fields, replaced
from quantum.modules.lifetime import Provision
from services.edge.proxying.border import ANSWER_VAR
from services.edge.proxying.config import CopyResponseConfig, CopyResponseHeadersConfig


class CopyResponse:
    """Sends the answer that the proxy got."""

    def __init__(self, config: CopyResponseConfig, provision: Provision) -> None:
        self._status = compile_template(config.status_code) if config.status_code else None

    def link(self, following: Next) -> Next:
        """Return the link; nothing follows it."""
        return self._answer

    async def _answer(self, request: Request) -> Response:
        answer = _answer_of(request, "copy_response")
        response = replaced(answer, answer.headers)
        if self._status is not None:
            response.status = status_number(self._status(request), answer.status)
        return added_to_early(response, request)


class CopyResponseHeaders:
    """Puts the upstream's fields on whatever answer follows."""

    def __init__(self, config: CopyResponseHeadersConfig, provision: Provision) -> None:
        self._include = {name.lower().encode() for name in config.include}
        self._exclude = {name.lower().encode() for name in config.exclude}

    def link(self, following: Next) -> Next:
        """Return the link that copies and goes on."""

        def copying(request: Request) -> Awaitable[Response]:
            answer = _answer_of(request, "copy_response_headers")
            early = early_fields(request)
            early.extend([f for f in answer.upstream_headers.fields if self._is_wanted(f[0])])
            return following(request)

        return copying

    def _is_wanted(self, name: bytes) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)


def _answer_of(request: Request, handler: str) -> HandedBack:
    answer = request.vars.get(ANSWER_VAR) if request.has_vars else None
    if not isinstance(answer, HandedBack):
        raise HttpError(500, f"{handler} outside of handle_response")
    return answer


def status_number(text: str, otherwise: int) -> int:
    """Return a configured status after placeholders; 0 or nothing keeps the other; HttpError 500."""
    if text in {"", "0"}:
        return otherwise
    if not (text.isdecimal() and 100 <= int(text) <= 999):
        raise HttpError(500, f"status_code became {text!r}")
    return int(text)
