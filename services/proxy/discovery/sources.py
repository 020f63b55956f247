"""``http.reverse_proxy.upstreams.a``, ``srv`` and ``multi``: addresses of upstreams, found when asked for.

An answer is used for ``refresh`` seconds. The request that comes after them waits for the next one, and
those beside it wait for the same. What cannot be found is an error; ``srv`` may use its last answer for a
``grace_period``. A new handler for the same name begins anew: nothing is shared between configurations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.modules.lifetime import Provision
from quantum.tasks import TaskSet
from services.proxy.discovery.config import ASource, MultiSource, SrvSource
from services.proxy.discovery.resolver import LookupFailed, Resolver

MAX_NAMES = 100
"""Names one source keeps answers for: placeholders may bring in any number of them (Caddy's bound)."""


class Source(Protocol):
    """Finds the upstreams for a request."""

    async def find(self, request: Request) -> list[str]:
        """Return addresses to dial, at least one; LookupFailed."""


@dataclass
class _Kept:
    """An answer and the loop's time of getting it; ``asking`` while a newer one is on its way."""

    addresses: list[str]
    since: float
    asking: asyncio.Task[list[str] | LookupFailed] | None = None


class Answers:
    """Answers by name, refreshed by one question at a time for each."""

    def __init__(self, refresh: float, grace: float = 0.0) -> None:
        self._refresh = refresh
        self._grace = grace
        self._kept: dict[str, _Kept] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet("proxy:discovery")

    async def get(self, name: str, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """Return what is known of ``name``, asking where that is too old; LookupFailed."""
        kept = self._kept.get(name)
        if kept is None:
            if len(self._kept) >= MAX_NAMES:
                self._kept.pop(next(iter(self._kept)))
            kept = self._kept[name] = _Kept([], -float("inf"))
        age = self._loop.time() - kept.since
        if age < self._refresh:
            return kept.addresses
        if kept.asking is None:
            kept.asking = self._tasks.start(self._ask(kept, ask))
        outcome = await asyncio.shield(kept.asking)
        if isinstance(outcome, list):
            return outcome
        if kept.addresses and age < self._refresh + self._grace:
            return kept.addresses
        raise outcome

    async def aclose(self) -> None:
        """Ask no more."""
        await self._tasks.aclose()

    async def _ask(
        self, kept: _Kept, ask: Callable[[], Awaitable[list[str]]]
    ) -> list[str] | LookupFailed:
        try:
            kept.addresses = await ask()
            kept.since = self._loop.time()
        except LookupFailed as failure:
            return failure
        finally:
            kept.asking = None
        return kept.addresses


class AddressRecords:
    """Every address of a name, all on one port."""

    def __init__(self, config: ASource, provision: Provision) -> None:
        self._name = compile_template(config.name)
        self._port = compile_template(config.port)
        self._kinds = config.versions.wanted
        self._resolver = Resolver(config.resolver, config.dial_timeout)
        self._answers = Answers(config.refresh)
        provision.on_cleanup(self._answers.aclose)

    async def find(self, request: Request) -> list[str]:
        """Return ``ip:port`` for each address."""
        name, port = self._name(request), self._port(request)
        found = await self._answers.get(name, lambda: self._resolver.addresses(name, self._kinds))
        return [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in found]


class ServiceRecords:
    """Hosts and ports as SRV records say."""

    def __init__(self, config: SrvSource, provision: Provision) -> None:
        parts = [f"_{part}" for part in (config.service, config.proto) if part]
        self._name = compile_template(".".join([*parts, config.name]))
        self._network = f"{config.dial_network}/" if config.dial_network else ""
        self._resolver = Resolver(config.resolver, config.dial_timeout)
        self._answers = Answers(config.refresh, config.grace_period)
        provision.on_cleanup(self._answers.aclose)

    async def find(self, request: Request) -> list[str]:
        """Return ``host:port`` for each record."""
        name = self._name(request)
        return await self._answers.get(name, lambda: self._ask(name))

    async def _ask(self, name: str) -> list[str]:
        return [
            f"{self._network}{host}:{port}" for host, port in await self._resolver.services(name)
        ]


class Together:
    """What several sources find."""

    def __init__(self, config: MultiSource, provision: Provision) -> None:
        self._sources: list[Source] = [provision.instantiate(one) for one in config.sources]
        self._log: Any = provision.log

    async def find(self, request: Request) -> list[str]:
        """Return the addresses of all that have some, in order; LookupFailed when none has."""
        outcomes = await asyncio.gather(
            *(source.find(request) for source in self._sources), return_exceptions=True
        )
        found: list[str] = []
        failure: BaseException = LookupFailed("no source has an upstream")
        for outcome in outcomes:
            if isinstance(outcome, LookupFailed):
                self._log.warning("upstream_source_failed", reason=str(outcome))
                failure = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                found += outcome
        if not found:
            raise failure
        return found
