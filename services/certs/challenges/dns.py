"""DNS-01 (RFC 8555 §8.4): a TXT record below the name, the only proof for wildcards.

The record is added beside others, looked for at the zone's own servers until all have it, and removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from acme import challenges

from quantum.clock import Clock
from quantum.modules.config import ModuleConfig
from services.certs.challenges.config import PROPAGATION_SECONDS, DnsChallenge
from services.certs.challenges.lookup import LookupFailed, find_zone, is_visible
from services.certs.challenges.proof import ProofFailed
from services.certs.challenges.providers.api import (
    TXT_TTL,
    Provider,
    ProviderFailed,
    TextRecord,
)

LOOK_SECONDS = 2.0
"""Pause between looks for the record."""
CALL_SECONDS = 60.0
"""What finding the zone and calling the provider may take on top of the waits that are configured."""
PREFIX = "_acme-challenge"


class DnsProof:
    """A Proof."""

    kind = challenges.DNS01

    def __init__(
        self,
        config: DnsChallenge,
        clock: Clock,
        provider: ModuleConfig | None,
        resolvers: Sequence[str],
    ) -> None:
        """``provider`` and ``resolvers`` are taken where ``config`` has none. ValueError, OSError."""
        module = config.provider or provider
        if module is None:
            raise ValueError("challenges.dns has no provider, and neither has apps.tls.dns")
        self._provider: Provider = module.spec.load_implementation()(module.config)
        self._clock = clock
        self._delay = config.propagation_delay
        self._timeout = config.propagation_timeout or PROPAGATION_SECONDS
        self._resolvers = config.resolvers or list(resolvers)
        self._override = config.override_domain.strip(".")
        self._ttl = int(config.ttl) or TXT_TTL
        self._turn = asyncio.Lock()
        self._shown: dict[str, tuple[TextRecord, AsyncExitStack]] = {}

    @property
    def seconds(self) -> float:
        """What showing may take."""
        return CALL_SECONDS + self._delay + max(self._timeout, 0.0)

    async def show(self, name: str, challenge: challenges.DNS01, validation: str) -> None:
        """Add the record and wait until it can be seen; ProofFailed."""
        domain = self._override or f"{PREFIX}.{name}"
        stack = AsyncExitStack()
        if self._provider.holds_one:
            await stack.enter_async_context(self._turn)
        self._shown[validation] = TextRecord(domain, validation), stack
        try:
            zone = await find_zone(domain, self._resolvers) if self._provider.needs_zone else ""
            record = TextRecord(domain, validation, zone, self._ttl)
            self._shown[validation] = record, stack
            await self._provider.append(record)
        except (LookupFailed, ProviderFailed) as error:
            raise ProofFailed(str(error)) from error
        await self._clock.sleep(self._delay)
        if self._timeout > 0:
            await self._wait(domain, validation)

    async def hide(self, name: str, challenge: challenges.DNS01, validation: str) -> str:
        """Remove the record."""
        record, stack = self._shown.pop(validation, (None, AsyncExitStack()))
        async with stack:
            if record is None or (self._provider.needs_zone and not record.zone):
                return ""
            try:
                await self._provider.remove(record)
            except ProviderFailed as error:
                return str(error)
        return ""

    async def _wait(self, domain: str, value: str) -> None:
        end = self._clock.monotonic() + self._timeout
        while True:
            try:
                if await is_visible(domain, value, self._resolvers):
                    return
                problem = f"{domain} has no such record after {self._timeout:g} s"
            except LookupFailed as error:
                problem = str(error)
            if self._clock.monotonic() >= end:
                raise ProofFailed(problem)
            await self._clock.sleep(LOOK_SECONDS)
