"""``http.handlers.headers``: add, set, delete and replace fields, on the way in and on the way out.

On the way out there are two moments, as in Caddy. Operations that are not deferred happen before
anyone answers: they change the request's early fields, and ``quantum.http.response_fields`` says how an
answer meets them (a static answer replaces, a file keeps its Content-Type and ETag, a proxied answer
adds), also when the answer is an error's. Operations that are deferred, or have a requirement, change the
complete answer when it comes back; an error passes them by, because error routes answer further out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quantum.http.handler import Next
from quantum.http.header_ops import Step, compile_operations, compile_requirement, run
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.response_fields import early_fields, replaced
from quantum.modules.header_ops import HeaderOperations
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import HeadersConfig

NO_SERVER = (b"server", b"")
"""Says to the codec that the answer shall not name the server: the field was deleted on purpose."""


class HeaderChanges:
    """Changes fields; the name of the class keeps it apart from the fields themselves."""

    def __init__(self, config: HeadersConfig, provision: Provision) -> None:
        self._request = compile_operations(config.request) if config.request else []
        self._touches_host = config.request is not None and _touches(config.request, "host")
        response = config.response
        self._response = compile_operations(response) if response else []
        self._hides_server = response is not None and _deletes(response, "server")
        self._is_deferred = response is not None and (
            response.deferred or response.require is not None
        )
        self._is_wanted: Callable[[int, Headers], bool] | None = None
        if response is not None and response.require is not None:
            self._is_wanted = compile_requirement(response.require)

    def link(self, following: Next) -> Next:
        """Return the link with only what this configuration needs."""
        if self._response:
            following = self._after(following) if self._is_deferred else self._before(following)
        if not self._request:
            return following
        steps = self._request
        if self._touches_host:
            return lambda request: _run_with_host(steps, request, following)

        def change_request(request: Request) -> Awaitable[Response]:
            run(steps, request.headers, request)
            return following(request)

        return change_request

    def _before(self, following: Next) -> Next:
        steps, hides_server = self._response, self._hides_server

        def change_early(request: Request) -> Awaitable[Response]:
            fields = early_fields(request)
            run(steps, fields, request)
            if hides_server:
                fields.set_default(*NO_SERVER)
            return following(request)

        return change_early

    def _after(self, following: Next) -> Next:
        steps, is_wanted, hides_server = self._response, self._is_wanted, self._hides_server

        async def change_answer(request: Request) -> Response:
            response = await following(request)
            if response.abort or not (
                is_wanted is None or is_wanted(response.status, response.headers)
            ):
                return response
            fields = response.headers.copy()
            request.response_fields = fields  # {http.response.header.*} reads them
            run(steps, fields, request)
            if hides_server:
                fields.set_default(*NO_SERVER)
            return replaced(response, fields)

        return change_answer


def _run_with_host(steps: list[Step], request: Request, following: Next) -> Awaitable[Response]:
    """Let the operations see and change Host, which is no field of a Request but its authority."""
    fields = request.headers
    fields.remove(b"host")
    fields.add(b"host", request.authority.encode("utf-8", "surrogateescape"))
    run(steps, fields, request)
    hosts = fields.all(b"host")
    request.authority = hosts[-1].decode("utf-8", "surrogateescape") if hosts else ""
    fields.remove(b"host")
    return following(request)


def _touches(operations: HeaderOperations, name: str) -> bool:
    names = [*operations.add, *operations.set, *operations.replace]
    return any("{" in n or n == "*" or n.lower() == name for n in names) or _deletes(
        operations, name
    )


def _deletes(operations: HeaderOperations, name: str) -> bool:
    for pattern in operations.delete:
        core, text = pattern.lower().strip("*"), pattern.lower()
        if "{" in text or text in {"*", name}:
            return True
        starts, ends = text.endswith("*"), text.startswith("*")
        if (starts and ends and core in name) or (starts and not ends and name.startswith(core)) \
                or (ends and not starts and name.endswith(core)):  # fmt: skip
            return True
    return False
