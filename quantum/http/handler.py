"""The one verb: a handler takes a request and returns a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from quantum.http.message import Request, Response

Next = Callable[[Request], Awaitable[Response]]
"""The rest of a compiled chain. Calling it may raise at once; awaiting it gives the response."""


class Handler(Protocol):
    """Ends a chain: answers. MUST raise HttpError for an error status that error routes may handle."""

    def handle(self, request: Request) -> Awaitable[Response]:
        """Answer ``request``. A cancelled handler MUST release what it holds; its answer is not wanted."""


class Middleware(Protocol):
    """Stands in a chain: changes the request, the response, or answers itself.

    A middleware that needs nothing of the response is a plain function that returns
    ``next(request)``: it then adds no coroutine to the chain.
    """

    def handle(self, request: Request, next: Next) -> Awaitable[Response]:
        """Call ``next`` once, or not at all."""


class Linked(Protocol):
    """A middleware that is compiled into its chain: it is told its successor once, not per request.

    The route compiler prefers it to ``Middleware``: what can be decided then costs no request anything.
    """

    def link(self, following: Next) -> Next:
        """Return the link that stands before ``following``."""
