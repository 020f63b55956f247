"""Which members of its roster a handler may use for one request, where that depends on the request.

Members are made when an address is first met and dropped when nobody has used them for an hour (Caddy),
so that a failure which is remembered outlives a name server's mood. Placeholders may bring in any number of
addresses; then those that were idle longest go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from quantum.errors import HttpError
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from services.proxy.config import UpstreamConfig
from services.proxy.discovery.resolver import LookupFailed
from services.proxy.discovery.sources import Source
from services.proxy.judging.config import dial_address
from services.proxy.upstreams import Member

IDLE_SECONDS = 3600.0
"""How long a member is remembered after its last request."""
MAX_MEMBERS = 1000
"""Members of one handler beside those that its configuration lists."""
LOOK_SECONDS = 60.0


class Discovery:
    """The members that come and go. ``fixed`` are always there."""

    def __init__(
        self,
        source: Source | None,
        templates: list[UpstreamConfig],
        fixed: list[Member],
        join: Callable[[UpstreamConfig], Member],
        part: Callable[[Member], None],
        log: Any,
    ) -> None:
        """``templates`` have placeholders in their addresses; ``join`` and ``part`` change the roster."""
        self._source = source
        self._templates = [(compile_template(one.dial), one) for one in templates]
        self._fixed = fixed
        self._join = join
        self._part = part
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._met: dict[str, Member] = {m.address: m for m in fixed}
        self._used: dict[str, float] = {}
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    async def members(self, request: Request) -> frozenset[Member]:
        """Return whom this request may go to; HttpError 503 when nobody can be found.

        What a source finds replaces the configured upstreams; when it finds nothing they are used.
        """
        if self._source is not None:
            try:
                addresses = await self._source.find(request)
                return frozenset(self._member(UpstreamConfig(dial=one)) for one in addresses)
            except LookupFailed as failure:
                self._log.warning("upstream_source_failed", reason=str(failure))
                if not self._fixed and not self._templates:
                    raise HttpError(503, f"no upstream found: {failure}") from failure
        return frozenset([*self._fixed, *self._named(request)])

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _named(self, request: Request) -> list[Member]:
        named = []
        for expand, config in self._templates:
            address = expand(request)
            try:
                dial_address(address)
            except ValueError as error:
                raise HttpError(502, f"upstream {config.dial!r}: {error}") from None
            named.append(self._member(config.model_copy(update={"dial": address})))
        return named

    def _member(self, config: UpstreamConfig) -> Member:
        address = config.dial
        member = self._met.get(address)
        if member is None:
            if len(self._used) >= MAX_MEMBERS:
                self._drop_idlest()
            member = self._met[address] = self._join(config)
        if member not in self._fixed:
            self._used[address] = self._loop.time()
        return member

    def _drop_idlest(self) -> None:
        idle = [one for one in self._used if not self._met[one].upstream.in_flight]
        if idle:
            self._drop(min(idle, key=self._used.__getitem__))

    def _look(self) -> None:
        oldest = self._loop.time() - IDLE_SECONDS
        for address in [one for one, used in self._used.items() if used < oldest]:
            if not self._met[address].upstream.in_flight:
                self._drop(address)
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _drop(self, address: str) -> None:
        del self._used[address]
        self._part(self._met.pop(address))
