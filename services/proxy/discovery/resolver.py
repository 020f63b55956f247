"""DNS questions: to configured servers, or to the system's way of finding names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from quantum.config.units import NetworkAddress
from quantum.errors import QuantumError
from services.proxy.discovery.config import DNS_PORT, ResolverConfig

DEFAULT_SECONDS = 5.0
"""How long a question may take when nothing is configured: what resolv.conf calls its timeout."""
_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class LookupFailed(QuantumError):
    """No answer, or one without records."""


class Resolver:
    """Answers are not kept here: whoever asks knows for how long they are good."""

    def __init__(self, config: ResolverConfig | None, timeout: float) -> None:
        self._timeout = timeout or DEFAULT_SECONDS
        self._own: dns.asyncresolver.Resolver | None = None
        if config is not None and config.addresses:
            self._own = dns.asyncresolver.Resolver(configure=False)
            self._own.nameservers = [_name_server(text) for text in config.addresses]

    async def addresses(self, name: str, kinds: Sequence[str]) -> list[str]:
        """Return the IP addresses of ``name``, IPv4 first; LookupFailed when there is none."""
        if self._own is None:
            return await self._ask_system(name, kinds)
        answers = await asyncio.gather(
            *(self._ask(self._own, name, kind) for kind in kinds), return_exceptions=True
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
        records = await self._ask(self._own or dns.asyncresolver.Resolver(), name, "SRV")
        records.sort(key=lambda record: (record.priority, -record.weight))
        return [(record.target.to_text(omit_final_dot=True), record.port) for record in records]

    async def _ask(self, resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> list:  # type: ignore[type-arg]
        try:
            answer = await resolver.resolve(name, kind, lifetime=self._timeout, search=False)
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{kind} {name}: {error or type(error).__name__}") from error
        return list(answer)

    async def _ask_system(self, name: str, kinds: Sequence[str]) -> list[str]:
        loop = asyncio.get_running_loop()
        family = _FAMILIES[kinds[0]] if len(kinds) == 1 else socket.AF_UNSPEC
        try:
            async with asyncio.timeout(self._timeout):
                found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            raise LookupFailed(f"{name}: {error or type(error).__name__}") from error
        return sorted({str(sockaddr[0]) for *_, sockaddr in found}, key=lambda ip: (":" in ip, ip))


def _name_server(text: str) -> dns.nameserver.Do53Nameserver:
    address = NetworkAddress.parse(text, default_port=DNS_PORT)
    return dns.nameserver.Do53Nameserver(address.host, address.port)
