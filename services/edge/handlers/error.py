"""``http.handlers.error``: fail on purpose, so that the error routes answer."""

from __future__ import annotations

from collections.abc import Awaitable

from quantum.errors import HttpError
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import ErrorConfig

DEFAULT_STATUS = "500"


class Error:
    """Raises HttpError with the configured status and message."""

    def __init__(self, config: ErrorConfig, provision: Provision) -> None:
        self._status = compile_template(config.status_code or DEFAULT_STATUS)
        self._message = compile_template(config.error)

    def link(self, following: Next) -> Next:
        """Return the link; nothing follows it."""
        return self._fail

    def _fail(self, request: Request) -> Awaitable[Response]:
        code = self._status(request)
        if not (code.isdecimal() and 100 <= int(code) <= 999):
            raise HttpError(500, f"status_code became {code!r}")
        raise HttpError(int(code), self._message(request))
