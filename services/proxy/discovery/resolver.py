"""DNS questions: to configured servers, or to the system's way of finding names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from quantum.errors import QuantumError
from services.proxy.discovery.config import ResolverConfig

if TYPE_CHECKING:
    from services.proxy.discovery.questions import NameServers

DEFAULT_SECONDS = 5.0
"""How long a question may take when nothing is configured: what resolv.conf calls its timeout."""
_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class LookupFailed(QuantumError):
    """No answer, or one without records."""


class Resolver:
    """Answers are not kept here: whoever asks knows for how long they are good."""

    def __init__(self, config: ResolverConfig | None, timeout: float) -> None:
        self._timeout = timeout or DEFAULT_SECONDS
        self._config = config
        self._asks_system = config is None or not config.addresses
        self._servers: NameServers | None = None

    async def addresses(self, name: str, kinds: Sequence[str]) -> list[str]:
        """Return the IP addresses of ``name``, IPv4 first; LookupFailed when there is none."""
        if self._asks_system:
            return await self._ask_system(name, kinds)
        answers = await asyncio.gather(
            *(self._ask(name, kind) for kind in kinds), return_exceptions=True
        )
        found = [
            record.address for answer in answers if isinstance(answer, list) for record in answer
        ]
        for answer in answers:
            if isinstance(answer, BaseException) and not found:
                raise answer
        return found

    async def services(self, name: str) -> list[tuple[str, int]]:
        """Return (host, port) of the SRV records of ``name``: by priority, then heaviest first."""
        records = await self._ask(name, "SRV")
        records.sort(key=lambda record: (record.priority, -record.weight))
        return [(record.target.to_text(omit_final_dot=True), record.port) for record in records]

    async def _ask(self, name: str, kind: str) -> list:  # type: ignore[type-arg]
        if self._servers is None:
            from services.proxy.discovery.questions import NameServers  # few configurations need it

            self._servers = NameServers(self._config, self._timeout)
        return await self._servers.ask(name, kind)

    async def _ask_system(self, name: str, kinds: Sequence[str]) -> list[str]:
        loop = asyncio.get_running_loop()
        family = _FAMILIES[kinds[0]] if len(kinds) == 1 else socket.AF_UNSPEC
        try:
            async with asyncio.timeout(self._timeout):
                found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            raise LookupFailed(f"{name}: {error or type(error).__name__}") from error
        return sorted({str(sockaddr[0]) for *_, sockaddr in found}, key=lambda ip: (":" in ip, ip))
