"""Questions to name servers, by dnspython. Loaded when the first is asked: it brings aioquic along."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.nameserver

from quantum.config.units import NetworkAddress
from services.proxy.discovery.config import DNS_PORT, ResolverConfig
from services.proxy.discovery.resolver import LookupFailed


class NameServers:
    """The configured servers, or the system's."""

    def __init__(self, config: ResolverConfig | None, timeout: float) -> None:
        self._timeout = timeout
        self._resolver: dns.asyncresolver.Resolver | None = None
        if config is not None and config.addresses:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = [_name_server(text) for text in config.addresses]

    async def ask(self, name: str, kind: str) -> list:  # type: ignore[type-arg]
        """Return the records of a kind; LookupFailed when there is none."""
        resolver = self._resolver or dns.asyncresolver.Resolver()
        try:
            answer = await resolver.resolve(name, kind, lifetime=self._timeout, search=False)
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{kind} {name}: {error or type(error).__name__}") from error
        return list(answer)


def _name_server(text: str) -> dns.nameserver.Do53Nameserver:
    address = NetworkAddress.parse(text, default_port=DNS_PORT)
    return dns.nameserver.Do53Nameserver(address.host, address.port)
