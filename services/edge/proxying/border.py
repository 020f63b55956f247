"""The border around a proxy: what its configuration has for edge, carried out there.

Before: ``rewrite`` gives the target to send upstream, on a copy: placeholders, routes and the log see
the request as it came (Caddy). ``retry_match`` is answered once. After: an answer that the proxy handed
back goes to the routes of its rule; where they do not answer, the chain goes on behind the proxy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from quantum.hop.handed_back import HandedBack
from quantum.http.body import discard
from quantum.http.handler import Handler, Next
from quantum.http.matcher import Matcher
from quantum.http.message import Request, Response
from quantum.http.response_fields import added_to_early, merging
from quantum.http.route import RouteCompiler
from quantum.modules.border import RETRY_VAR, REWRITTEN_VAR, Border
from quantum.modules.config import ModuleConfig
from quantum.wire.h1.head import canonical

ANSWER_VAR = "proxy.answer"
"""The HandedBack that the routes of ``handle_response`` run for."""

_TEXTS = {status.value: status.phrase for status in HTTPStatus}


class BorderedProxy:
    """A proxy with its border, as a link of a chain."""

    def __init__(
        self,
        module: ModuleConfig,
        border: Border,
        handler: Handler,
        compiler: RouteCompiler,
        make: Callable[[ModuleConfig], Any],
    ) -> None:
        self._handle: Next = handler.handle
        self._id = module.spec.id
        self._border = border
        self._compiler = compiler
        self._rewrite = None if border.rewrite is None else make(border.rewrite).rewrite
        self._may_retry: Matcher | None = compiler.compile_matchers(border.retry_match)

    def link(self, following: Next) -> Next:
        """Return the link that stands before ``following``."""
        asking = self._handle
        if self._rewrite is not None or self._may_retry is not None:
            asking = self._asking
        rules = [self._compiler.compile(routes, end=following) for routes in self._border.responses]
        if not rules:
            return merging(asking, self._id)

        async def route(request: Request) -> Response:
            response = await asking(request)
            if isinstance(response, HandedBack):
                return await _handled(request, response, rules[response.note.rule])
            return added_to_early(response, request)

        return route

    async def _asking(self, request: Request) -> Response:
        if self._may_retry is not None:
            request.vars[RETRY_VAR] = self._may_retry(request)
        if self._rewrite is None:
            return await self._handle(request)
        body, headers = request.body, request.headers
        rewritten = _rewritten(request, self._rewrite)
        request.vars[REWRITTEN_VAR] = [rewritten.method, rewritten.target]
        if rewritten.method in {"GET", "HEAD"} and request.method != rewritten.method:
            request.body, request.headers = b"", headers.copy()  # it stays for who follows
            request.headers.remove(b"content-length")
        try:
            return await self._handle(request)
        finally:
            request.body, request.headers = body, headers


def _rewritten(request: Request, rewrite: Callable[[Request], None]) -> Request:
    shadow = copy.copy(request)
    rewrite(shadow)
    return shadow


async def _handled(request: Request, answer: HandedBack, routes: Next) -> Response:
    """Answer with what the routes make of it; its body is closed unless they sent it."""
    request.vars[ANSWER_VAR] = answer
    _tell_placeholders(request, answer)
    response: Response | None = None
    try:
        response = await routes(request)
        return response
    finally:
        if response is None or response.body is not answer.body:
            await discard(answer.body)


def _tell_placeholders(request: Request, answer: HandedBack) -> None:
    """Set ``{http.reverse_proxy.*}`` for the routes (Caddy)."""
    request.vars.update(answer.note.facts)
    request.vars["http.reverse_proxy.status_code"] = str(answer.status)
    request.vars["http.reverse_proxy.status_text"] = _TEXTS.get(answer.status, "")
    fields: dict[str, list[str]] = {}
    for name, value in answer.upstream_headers.fields:
        text = value.decode("utf-8", "surrogateescape")
        fields.setdefault(canonical(name).decode("latin-1"), []).append(text)
    for spelled, values in fields.items():
        request.vars[f"http.reverse_proxy.header.{spelled}"] = ",".join(values)
