"""Which names this deployment may have certificates for: those its configuration names, no others.

Edge asks for the name a client sent. Without this list any stranger could make us sign, or order
at a public authority, as many certificates as they can spell.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quantum.config.units import NetworkAddress
from quantum.modules.config import ModuleConfig
from quantum.modules.hosts import host_names
from services.certs.material import wildcard_of

MAX_NAME_LENGTH = 253
"""RFC 1035 §2.3.4, in the form without the final dot."""

NEVER_PUBLIC = (
    "localhost", "local", "internal", "home.arpa",  # Caddy's list
    "test", "example", "invalid", "onion",  # RFC 6761, RFC 7686: no public authority may certify them
)  # fmt: skip

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def normalise(name: str) -> str | None:
    """Return a name in the form certificates use, None when no certificate can have it.

    Lower case, A-labels, no final dot; IP addresses in their shortest form, without brackets.
    """
    text = name.strip().lower().removesuffix(".")
    if (address := _address(text.strip("[]"))) is not None:
        return str(address)
    if not text.isascii():
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            return None
    labels = text.removeprefix("*.").split(".")
    if len(text) > MAX_NAME_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return text


def is_public(name: str) -> bool:
    """Whether a public authority could certify a normalised name by HTTP-01.

    Not wildcards (they need DNS-01), not addresses, not single labels, not names without a public root.
    """
    if "*" in name or "." not in name or _address(name) is not None:
        return False
    return not any(name == zone or name.endswith("." + zone) for zone in NEVER_PUBLIC)


@dataclass(frozen=True)
class PermittedNames:
    """The names of one revision. ``any_local_address``: some listener takes connections to all of them."""

    names: frozenset[str]
    any_local_address: bool = False
    obtained: frozenset[str] = frozenset()
    """Those that get certificates of their own though one is loaded (``ignore_loaded_certificates``)."""

    def resolve(self, name: str) -> str | None:
        """Return the name to have a certificate for when a client asks for ``name``; None for strangers."""
        if name in self.names:
            return name
        if (address := _address(name)) is not None:
            is_ours = self.any_local_address and (address.is_loopback or address.is_private)
            return name if is_ours else None
        wildcard = wildcard_of(name)
        return wildcard if wildcard in self.names else None


def permitted_names(http: Any, automate: Iterable[str]) -> PermittedNames:
    """Collect the names of a revision from its ``apps.http`` section (None: no servers)."""
    names = {normalise(name) for name in automate}
    any_local_address = False
    obtained: set[str | None] = set()
    for server in http.servers.values() if http is not None else ():
        own = [normalise(name) for name in host_names(server.routes)]
        names.update(own)
        if server.automatic_https.ignore_loaded_certificates:
            obtained.update(own)
        for listen in server.listen:
            address = listen if isinstance(listen, NetworkAddress) else NetworkAddress.parse(listen)
            if address.is_unix or address.is_fd:
                continue
            literal = _address(address.host)
            any_local_address |= not address.host or (
                literal is not None and literal.is_unspecified
            )
            names.update({"localhost", normalise(address.host or "localhost")})
    names -= {None, "0.0.0.0", "::"}
    return PermittedNames(
        frozenset(name for name in names if name),
        any_local_address,
        frozenset(name for name in obtained if name),
    )


def identities_of(modules: Iterable[ModuleConfig]) -> list[str]:
    """Return the names as which proxies present themselves to upstreams (``client_certificate_automate``)."""
    transports = (m for m in modules if m.spec.id == "http.reverse_proxy.transport.http")
    names = (t.config.tls.client_certificate_automate for t in transports if t.config.tls)
    return [str(name) for name in names if name]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
