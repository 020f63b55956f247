"""``tls.permission.http``: a web service of the operator says which names may have certificates.

Asked once for a name, before its certificate is obtained or taken from the disk. Whatever is no clear yes
is a no: an endpoint that is away, slow or redirects allows nothing.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote, urlsplit

from quantum.net.fetch import FetchFailedError, Wish, fetch
from services.certs.issuers.api import IssuanceFailed
from services.certs.ondemand.config import HttpPermissionConfig

MAX_ANSWER = 64 * 1024
"""Bytes of an answer, of which only the status matters."""
MAX_ASKING = 64
"""Names that wait for an answer at a time: strangers' guesses must not pile up before a slow endpoint."""


class PermissionDenied(Exception):
    """The endpoint said no to this name."""


class Permission(Protocol):
    """Says which names may be certified on demand."""

    async def check(self, name: str) -> None:
        """Return when ``name`` is allowed; PermissionDenied, or IssuanceFailed when nobody can say."""


class HttpPermission:
    """A Permission: 2xx is yes, any other answer no."""

    def __init__(self, config: HttpPermissionConfig) -> None:
        self._endpoint = config.endpoint

    async def check(self, name: str) -> None:
        """Ask for ``name``."""
        joint = "&" if urlsplit(self._endpoint).query else "?"
        url = f"{self._endpoint}{joint}domain={quote(name, safe='')}"
        try:
            answer = await fetch(Wish(url, max_bytes=MAX_ANSWER))
        except FetchFailedError as error:
            raise IssuanceFailed(
                f"permission could not be asked for: {error}", ordered=False
            ) from error
        if not 200 <= answer.status < 300:
            raise PermissionDenied(f"the permission endpoint answers {answer.status}")


class Gate:
    """Asks for permission, for a bounded number of names at a time."""

    def __init__(self) -> None:
        self._waiting = 0

    async def check(self, permission: Permission | None, name: str) -> None:
        """Return when ``name`` may be certified; PermissionDenied, or IssuanceFailed when nobody can say."""
        if permission is None:
            return
        if self._waiting >= MAX_ASKING:
            raise IssuanceFailed("too many names wait for permission", ordered=False)
        self._waiting += 1
        try:
            await permission.check(name)
        finally:
            self._waiting -= 1
