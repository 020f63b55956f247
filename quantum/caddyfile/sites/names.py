"""Which names can have a certificate, and which of them a public one (certmagic's rules)."""

from __future__ import annotations

import ipaddress

FORBIDDEN = "()[]{}<> \t\n\"\\!@#$%^&|;'+="
INTERNAL = (".localhost", ".local", ".internal", ".home.arpa")
PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128", "169.254.0.0/16", "fe80::/10")
)  # fmt: skip


def qualifies(name: str) -> bool:
    """Whether any certificate can be made for ``name``."""
    return (
        name.strip() != ""
        and not name.startswith(".")
        and not name.endswith(".")
        and ("*" not in name or name.startswith("*.") or name == "*")
        and not any(char in name for char in FORBIDDEN)
    )


def qualifies_for_public(name: str) -> bool:
    """Whether a public authority could make one."""
    if not qualifies(name) or is_internal(name) or is_ip(name):
        return False
    wild = name.startswith("*.") and name.count("*") == 1 and name.count(".") > 1
    return "*" not in name or (wild and len(name) > 2)


def is_internal(name: str) -> bool:
    """Whether ``name`` exists on this machine or in a private network only."""
    lowered = name.lower().rstrip(".")
    if lowered == "localhost" or lowered.endswith(INTERNAL):
        return True
    try:
        ip = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return any(ip in network for network in PRIVATE if network.version == ip.version)


def is_ip(name: str) -> bool:
    """Whether ``name`` is an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_tailscale(name: str) -> bool:
    """Whether Tailscale hands out certificates for ``name``."""
    return name.lower().endswith(".ts.net")


def matches_wildcard(name: str, pattern: str) -> bool:
    """Whether ``name`` is ``pattern`` or one label of its "*"."""
    name, pattern = name.lower(), pattern.lower()
    if name == pattern:
        return True
    if "*" not in pattern:
        return False
    labels = name.split(".")
    return any(
        ".".join([*labels[:i], "*", *labels[i + 1 :]]) == pattern for i in range(len(labels))
    )
