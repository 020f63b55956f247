"""``http.handlers.intercept``: what becomes of answers on their way back, whoever made them.

The first rule that matches decides: another status for the same answer, or routes that answer
instead. As in Caddy the routes' answer keeps the fields of the intercepted one, except those that
describe its body; where they do not answer, the intercepted answer is sent. Errors pass by: they
belong to error routes.
"""

from __future__ import annotations

from quantum.errors import HttpError
from quantum.http.body import discard
from quantum.http.failure import status_text
from quantum.http.handler import Next
from quantum.http.header_ops import compile_requirement
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.response_fields import replaced
from quantum.http.route import RouteCompiler
from quantum.modules.border import ResponseRule
from quantum.modules.lifetime import Provision
from quantum.wire.h1.head import canonical
from services.edge.handlers.config import InterceptConfig

SCOPE = "http.intercept."
ANSWER_VAR = "intercept.answer"
"""The intercepted Response that the routes run for."""

OF_THE_BODY = frozenset({
    b"content-length", b"content-encoding", b"content-range", b"content-type", b"etag",
    b"last-modified", b"accept-ranges", b"transfer-encoding",
})  # fmt: skip
"""Fields that say something of a body (RFC 9110 §8) and are wrong for another one."""


class Intercept:
    """Looks at each answer of the chain behind it."""

    def __init__(self, config: InterceptConfig, provision: Provision) -> None:
        compiler: RouteCompiler = provision.get(RouteCompiler)
        self._rules = [_Rule(rule, compiler) for rule in config.handle_response]

    def link(self, following: Next) -> Next:
        """Return the link."""
        rules = self._rules

        async def route(request: Request) -> Response:
            response = await following(request)
            if response.abort or response.upgrade is not None:
                return response
            for rule in rules:
                if rule.is_for(response.status, response.headers):
                    return await rule.handle(request, response)
            return response

        return route


class _Rule:
    def __init__(self, rule: ResponseRule, compiler: RouteCompiler) -> None:
        self._status = compile_template(rule.status_code) if rule.status_code else None
        self._routes = compiler.compile(rule.routes, end=_intercepted) if rule.routes else None
        self.is_for = compile_requirement(rule.match) if rule.match is not None else _always

    async def handle(self, request: Request, response: Response) -> Response:
        """Return the answer with another status, or what the routes make of it."""
        if self._status is not None:
            text = self._status(request)
            is_status = text.isdecimal() and 100 <= int(text) <= 999
            response = replaced(response, response.headers)
            response.status = int(text) if is_status else 500
            return response
        if self._routes is None:
            return response
        _tell_placeholders(request, response)
        outer = request.vars.get(ANSWER_VAR)
        request.vars[ANSWER_VAR] = response
        kept = [field for field in response.headers.fields if field[0] not in OF_THE_BODY]
        request.response_fields = Headers(kept)
        answer: Response | None = None
        try:
            answer = await self._routes(request)
        finally:
            request.vars[ANSWER_VAR] = outer
            if answer is not response:
                await discard(response.body)
        return answer


async def _intercepted(request: Request) -> Response:
    """End the routes of a rule where none answers."""
    response: Response | None = request.vars.get(ANSWER_VAR)
    if response is None:
        raise HttpError(500, "the routes of an intercept ended outside of it")
    return response


def _always(status: int, headers: Headers) -> bool:
    return True


def _tell_placeholders(request: Request, response: Response) -> None:
    """Set ``{http.intercept.*}`` for the routes (Caddy)."""
    variables = request.vars
    variables[f"{SCOPE}status_code"] = str(response.status)
    variables[f"{SCOPE}status_text"] = status_text(response.status)
    fields: dict[str, list[str]] = {}
    for name, value in response.headers.fields:
        text = value.decode("utf-8", "surrogateescape")
        fields.setdefault(canonical(name).decode("latin-1"), []).append(text)
    for spelled, values in fields.items():
        variables[f"{SCOPE}header.{spelled}"] = ",".join(values)
