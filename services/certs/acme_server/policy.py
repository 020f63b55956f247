"""Who may be certified: Caddy's ``policy`` with its rules."""

from __future__ import annotations

import ipaddress

from services.certs.acme_server.config import PolicyConfig, RuleConfig
from services.certs.acme_server.problems import AcmeProblem


def check_name(name: str, policy: PolicyConfig | None) -> None:
    """AcmeProblem when the policy does not let ``name`` (a DNS name or an IP address) be certified."""
    if policy is None:
        return
    if name.startswith("*.") and not policy.allow_wildcard_names:
        raise AcmeProblem("rejectedIdentifier", f"{name}: wildcards are not allowed here")
    if _is_named(name, policy.deny):
        raise AcmeProblem("rejectedIdentifier", f"{name} is denied by policy")
    allow = policy.allow
    if (allow.domains or allow.ip_ranges) and not _is_named(name, allow):
        raise AcmeProblem("rejectedIdentifier", f"{name} is not allowed by policy")


def _is_named(name: str, rule: RuleConfig) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return any(_covers(domain, name) for domain in rule.domains)
    networks = [ipaddress.ip_network(text, strict=False) for text in rule.ip_ranges]
    return any(address.version == n.version and address in n for n in networks)


def _covers(domain: str, name: str) -> bool:
    """Whether a domain of a rule is ``name``, or its wildcard covers it: one label, a wildcard's own too."""
    return domain == name or (domain.startswith("*.") and domain[2:] == name.partition(".")[2])
