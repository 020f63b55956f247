"""Questions to name servers: where a zone begins, and whether a record can be seen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from dns import asyncquery, asyncresolver, exception, message, name, nameserver, rdatatype

from quantum.config.units import NetworkAddress
from quantum.errors import QuantumError
from services.certs.challenges.config import DNS_PORT

SECONDS = 10.0
"""For one question."""
MAX_ALIASES = 8
"""Steps of CNAME that are followed: more is a loop, or as good as one."""


class LookupFailed(QuantumError):
    """There is no usable answer."""


async def address_of(server: str) -> tuple[str, int]:
    """Return IP address and port of a configured name server; OSError."""
    parsed = NetworkAddress.parse(server, default_port=DNS_PORT)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parsed.host, parsed.port, type=socket.SOCK_DGRAM)
    return str(found[0][4][0]), parsed.port


async def make_resolver(servers: Sequence[str]) -> asyncresolver.Resolver:
    """Return a resolver that asks ``servers``, the system's if there are none; LookupFailed."""
    try:
        resolver = asyncresolver.Resolver(configure=not servers)
        resolver.nameservers = [
            *resolver.nameservers,
            *[nameserver.Do53Nameserver(*(await address_of(server))) for server in servers],
        ]
    except (OSError, exception.DNSException) as error:
        raise LookupFailed(f"no name servers to ask: {error}") from error
    return resolver


async def find_zone(domain: str, servers: Sequence[str]) -> str:
    """Return the zone that holds ``domain``, without the final dot; LookupFailed."""
    resolver = await make_resolver(servers)
    try:
        zone = await asyncresolver.zone_for_name(f"{domain}.", resolver=resolver)
    except (exception.DNSException, OSError) as error:
        raise LookupFailed(f"the zone of {domain} is not found: {error}") from error
    return zone.to_text(omit_final_dot=True)


async def is_visible(domain: str, value: str, servers: Sequence[str]) -> bool:
    """Whether the TXT record is at all of ``servers``, or, without any, at all of its zone's own.

    LookupFailed: who has the zone cannot be found out.
    """
    if servers:
        asked = [await _address(server) for server in servers]
    else:
        domain = await _end_of_aliases(domain)
        asked = await _own_servers(domain)
    answers = await asyncio.gather(*(_has(domain, value, *server) for server in asked))
    return bool(answers) and all(answers)


async def _address(server: str) -> tuple[str, int]:
    try:
        return await address_of(server)
    except OSError as error:
        raise LookupFailed(f"the resolver {server} is not found: {error}") from error


async def _end_of_aliases(domain: str) -> str:
    """Return the name that a chain of CNAMEs leads to; names may not exist yet."""
    resolver = await make_resolver(())
    for _ in range(MAX_ALIASES):
        try:
            answer = await resolver.resolve(f"{domain}.", "CNAME", lifetime=SECONDS)
        except (exception.DNSException, OSError):
            break
        domain = answer[0].target.to_text(omit_final_dot=True)
    return domain


async def _own_servers(domain: str) -> list[tuple[str, int]]:
    zone = await find_zone(domain, ())
    resolver = await make_resolver(())
    loop = asyncio.get_running_loop()
    found: list[tuple[str, int]] = []
    try:
        for record in await resolver.resolve(f"{zone}.", "NS", lifetime=SECONDS):
            host = record.target.to_text(omit_final_dot=True)
            for *_, place in await loop.getaddrinfo(host, DNS_PORT, type=socket.SOCK_DGRAM):
                found.append((str(place[0]), DNS_PORT))
                break  # one address of each: some hosts have no way to the other family
    except (exception.DNSException, OSError) as error:
        raise LookupFailed(f"the name servers of {zone} are not found: {error}") from error
    return found


async def _has(domain: str, value: str, host: str, port: int) -> bool:
    question = message.make_query(name.from_text(f"{domain}."), rdatatype.TXT)
    try:
        answer, _ = await asyncquery.udp_with_fallback(question, host, timeout=SECONDS, port=port)
    except (exception.DNSException, OSError, EOFError):
        return False  # one server away for a moment is a reason to wait, not to give up
    texts = (
        b"".join(record.strings)
        for rrset in answer.answer
        if rrset.rdtype == rdatatype.TXT
        for record in rrset
    )
    return value.encode() in texts
