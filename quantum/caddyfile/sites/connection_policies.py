"""``tls_connection_policies`` of a server."""

from __future__ import annotations

import copy
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.sites.names import matches_wildcard
from quantum.caddyfile.sites.site import Site
from quantum.caddyfile.values.encoding import compact
from quantum.caddyfile.values.sorting import stable_sort

FIELDS = (
    "match", "certificate_selection", "cipher_suites", "curves", "alpn", "protocol_min",
    "protocol_max", "drop", "client_authentication", "default_sni", "fallback_sni",
    "insecure_secrets_log", "handshake_context",
)  # fmt: skip
SETTINGS = tuple(name for name in FIELDS if name not in {"match", "default_sni", "fallback_sni"})

CONFLICTS = (
    ("alpn", "ALPN"),
    ("cipher_suites", "cipher suites"),
    ("client_authentication", "client auth configuration"),
    ("curves", "curves"),
    ("default_sni", "default SNI"),
    ("fallback_sni", "fallback SNI"),
    ("protocol_min", "min protocol"),
    ("protocol_max", "max protocol"),
)

Policy = dict[str, Any]


class Policies:
    """Collects the policies of one server."""

    def __init__(self, options: dict[str, Any], sites: list[Site]) -> None:
        self.found: list[Policy] = []
        self._wildcards = [
            address.host
            for site in sites
            if any(
                p.get("client_authentication") for p in site.pile.get("tls.connection_policy", ())
            )
            for address in site.addresses
            if address.host.startswith("*.")
        ]
        self.has_catch_all = False
        self._default: str = options.get("default_sni", "")
        self._fallback: str = options.get("fallback_sni", "")

    def add_site(self, site: Site) -> None:
        """Add the policies that a site's ``tls`` directives gave, for its hosts."""
        hosts = site.hosts()
        before = len(self.found)
        for given in site.pile.get("tls.connection_policy", ()):
            policy = given
            for host in hosts:
                if host == self._default:
                    hosts.append("")
                    policy["default_sni"] = self._default
                    break
                if host == self._fallback:
                    hosts.append("")
                    policy["fallback_sni"] = self._fallback
                    break
            if hosts:
                hosts.sort()
                policy["match"] = {"sni": list(hosts)}
            else:
                policy["default_sni"], policy["fallback_sni"] = self._default, self._fallback
            if (
                (hosts and "tls.force_automate" in site.pile)
                or any(policy.get(name) for name in SETTINGS)
                or policy.get("default_sni")
                or policy.get("fallback_sni")
            ):
                self.found.append(copy.copy(policy))
                self.has_catch_all = not hosts

        if len(self.found) == before:
            self._shield(hosts)

    def _shield(self, hosts: list[str]) -> None:
        """Keep the client authentication of a wildcard from hosts that have sites of their own."""
        covered = [
            host for host in hosts if any(matches_wildcard(host, w) for w in self._wildcards)
        ]
        exact = sorted(host for host in covered if host not in self._wildcards)
        if exact:
            self.found.append({"match": {"sni": exact}})

    def add_catch_all(self, *, needed: bool) -> None:
        """Add a policy for every other handshake, if there are policies or one is ``needed``."""
        if self.found or needed or self._default or self._fallback:
            self.found.append({"default_sni": self._default, "fallback_sni": self._fallback})


def consolidate(policies: list[Policy]) -> list[Policy]:
    """Merge equal policies, and put those for everybody last."""
    made = [compact(**{name: policy.get(name) for name in FIELDS}) for policy in policies]
    stable_sort(made, lambda a, b: "match" in a and "match" not in b)
    i = 0
    while i < len(made):
        if not any(_merge(made, i, j) for j in range(len(made)) if j != i):
            i += 1
    return made


def _merge(made: list[Policy], i: int, j: int) -> bool:
    """Merge policy ``j`` into ``i`` if they go together."""
    if j >= len(made):
        return False
    first, second = made[i], made[j]
    if first == second:
        del made[j]
        return True
    left, right = first.get("match", {}), second.get("match", {})
    if i == j - 1 and _only_names(left) and _only_names(right) and _same_settings(first, second):
        first["match"] = {"sni": left["sni"] + right["sni"]}
        del made[j]
        return True
    if left != right:
        return False
    for name, words in CONFLICTS:
        if _conflict(name, first.get(name), second.get(name)):
            raise CaddyfileError(
                "two policies with same match criteria have conflicting "
                f"{words}: {_shown(first.get(name))} vs. {_shown(second.get(name))}"
            )
    made[i] = _reconciled(first, second)
    del made[j]
    return True


def _conflict(name: str, first: Any, second: Any) -> bool:
    if name == "client_authentication":
        # Caddy's rule: a policy without is not given another's; two that have one keep the first's.
        return not first and bool(second)
    return bool(first and second and first != second)


def _only_names(match: dict[str, Any]) -> bool:
    return set(match) == {"sni"}


def _same_settings(first: Policy, second: Policy) -> bool:
    return {**first, "match": None} == {**second, "match": None}


def _reconciled(first: Policy, second: Policy) -> Policy:
    tags = [
        *first.get("certificate_selection", {}).get("any_tag", ()),
        *second.get("certificate_selection", {}).get("any_tag", ()),
    ]
    merged = {name: first.get(name) or second.get(name) for name in FIELDS}
    if first.get("certificate_selection") and second.get("certificate_selection"):
        merged["certificate_selection"] = {
            **first["certificate_selection"],
            "any_tag": list(dict.fromkeys(tags)),
        }
    return compact(**merged)


def _shown(value: Any) -> str:
    return f"[{' '.join(map(str, value))}]" if isinstance(value, list) else str(value)
