"""``apps.tls``: which certificates the sites need and who issues them."""

from __future__ import annotations

import copy
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.modules.issuers import acme_part, default_issuers, fill_in_defaults
from quantum.caddyfile.sites import names, policies
from quantum.caddyfile.sites.listeners import Pairing, ports, uses_other_port
from quantum.caddyfile.sites.policies import Policy
from quantum.caddyfile.sites.site import Site
from quantum.caddyfile.values.encoding import compact, module

INTERNAL = {"module": "internal"}
GLOBAL_ACME = (
    "email",
    "acme_ca",
    "acme_ca_root",
    "acme_dns",
    "acme_eab",
    "preferred_chains",
)
"""Options that turn implicit issuers into written ones."""

FIELDS = (
    "certificates", "automation", "session_tickets", "cache", "disable_ocsp_stapling",
    "disable_storage_check", "disable_storage_clean", "encrypted_client_hello", "dns", "resolvers",
)  # fmt: skip


def build_tls(pairings: list[Pairing], options: dict[str, Any]) -> dict[str, Any]:
    """Return the tls app; empty when nothing differs from the defaults."""
    return TlsBuilder(pairings, options).build()


class TlsBuilder:
    """Builds the app, in the order in which Caddy decides."""

    def __init__(self, pairings: list[Pairing], options: dict[str, Any]) -> None:
        self._pairings = pairings
        self._options = options
        self._http, _ = ports(options)
        self._auto: list[str] = options.get("auto_https", [])
        self._policies: list[Policy] = []
        self._catch_all = policies.base(options)
        self._forced: set[str] = set()
        self._loaders: dict[str, list[Any]] = {}

    def build(self) -> dict[str, Any]:
        """Return the app."""
        if self._catch_all is not None:
            self._policies.append(self._catch_all)
        for pairing in self._pairings:
            if not uses_other_port(pairing.addresses, self._http):
                continue
            for site in pairing.sites:
                if not site.is_all_http:
                    self._add_site(site)
        self._automate()
        self._add_ech()
        self._write_issuers()
        found = policies.consolidate(self._policies)
        _refuse_overlap(found)
        automation = {
            "policies": [policies.to_json(policy) for policy in found],
            **_automation_options(self._options),
        }
        app = {
            "certificates": dict(sorted(self._loaders.items())),
            "automation": compact(**automation),
            **self._options.get("tls_app", {}),
            "disable_ocsp_stapling": self._options.get("ocsp_stapling") == "off",
            "disable_storage_check": self._options.get("storage_check") == "off",
        }
        return compact(**{name: app.get(name) for name in FIELDS})

    def _add_site(self, site: Site) -> None:
        policy = policies.base(self._options) or {}
        hosts = site.hosts()
        if not hosts and self._catch_all is not None:
            policy = self._catch_all
        if site.pile.get("tls.on_demand"):
            policy["on_demand"] = True
        if site.pile.get("tls.force_automate"):
            self._forced.update(hosts)
        if site.pile.get("tls.reuse_private_keys"):
            policy["reuse_private_keys"] = True
        for kind, name in (
            ("tls.key_type", "key_type"),
            ("tls.renewal_window_ratio", "renewal_window_ratio"),
        ):
            if kind in site.pile:
                policy[name] = site.pile[kind][0]
        self._add_issuers(site, policy)
        if not hosts and self._catch_all is None:
            self._catch_all = policy
        policy["subjects"] = site.tls_hosts(self._http)
        self._policies.append(policy)
        self._split(policy)
        for name, loaded in site.pile.get("tls.cert_loader", ()):
            self._loaders.setdefault(name, []).extend(loaded)

    def _add_issuers(self, site: Site, policy: Policy) -> None:
        issuers = site.pile.get("tls.cert_issuer")
        if issuers is not None:
            if policy is self._catch_all and policy.get("issuers", []) != issuers:
                raise CaddyfileError(
                    "automation policy from site block is also default/catch-all policy because of "
                    "key without hostname, and the two are in conflict: "
                    f"{policy.get('issuers')} != {issuers}"
                )
            policy["issuers"] = issuers
        if managers := site.pile.get("tls.cert_manager"):
            policy["get_certificate"] = [*policy.get("get_certificate", []), *managers]
        for hosts, _ in site.pile.get("bind", ()):
            for issuer in policy.get("issuers", ()):
                part = acme_part(issuer)
                if part is not None:
                    challenges = part.setdefault("challenges", {})
                    if not challenges.get("bind_host"):
                        challenges["bind_host"] = hosts[0] if hosts else ""

    def _split(self, policy: Policy) -> None:
        """Give internal names of a mixed list a policy of their own."""
        if policy.get("issuers"):
            return
        internal: list[str] = []
        external: list[str] = []
        for name in policy["subjects"]:
            if names.is_tailscale(name):
                continue
            if not names.qualifies(name):
                raise CaddyfileError(f"subject does not qualify for certificate: '{name}'")
            (external if _is_public(policy, name) else internal).append(name)
        if internal and external:
            policy["subjects"] = external
            self._policies.append(
                {**copy.copy(policy), "subjects": internal, "written": [INTERNAL]}
            )

    def _add_ech(self) -> None:
        """The public names of encrypted client hellos need certificates too."""
        ech = self._options.get("tls_app", {}).get("encrypted_client_hello", {})
        public = [config["public_name"] for config in ech.get("configs", ())]
        if public:
            self._policies.append({**(policies.base(self._options) or {}), "subjects": public})

    def _automate(self) -> None:
        """Name the hosts that no route matcher tells of."""
        is_off = "off" in self._auto or "disable_certs" in self._auto
        shared = set() if is_off else self._hosts_beside_catch_all()
        internal = [name for name in sorted(shared) if not names.qualifies_for_public(name)]
        automate = sorted(shared | self._forced)
        if automate:
            self._loaders["automate"] = automate
        if internal:
            self._policies.append({"subjects": internal, "written": [INTERNAL]})

    def _hosts_beside_catch_all(self) -> set[str]:
        found: set[str] = set()
        for pairing in self._pairings:
            for site in pairing.sites:
                if site.is_catch_all:
                    found |= {
                        address.host
                        for address in site.addresses
                        if address.host and address.scheme != "http" and address.port != self._http
                    }
        return found

    def _write_issuers(self) -> None:
        options = self._options
        if options.keys() & set(GLOBAL_ACME):
            for policy in self._policies:
                if not policy.get("issuers") and policies.is_all_public(policy):
                    policy["issuers"] = default_issuers(options)
        for index, policy in enumerate(self._policies):
            for number, issuer in enumerate(policy.get("issuers", ())):
                try:
                    fill_in_defaults(issuer, options)
                except CaddyfileError as error:
                    raise CaddyfileError(
                        f"filling in global issuer defaults for AP {index}, issuer {number}: "
                        f"{error.problem}"
                    ) from None
            if policy.get("issuers") and "written" not in policy:
                policy["written"] = [
                    module(_pruned(issuer), "module", issuer["module"])
                    for issuer in policy["issuers"]
                ]


def _pruned(value: Any) -> Any:
    """Leave out empty objects that only stood ready to be filled."""
    return {key: item for key, item in value.items() if item not in (None, "", {}, [])}


def _is_public(policy: Policy, name: str) -> bool:
    if policy.get("on_demand") and name.startswith("*."):
        # On-demand certificates are for the names that are asked for, never for the pattern.
        return not names.is_internal(name) and not names.is_ip(name)
    return names.qualifies_for_public(name)


def _automation_options(options: dict[str, Any]) -> dict[str, Any]:
    return compact(
        on_demand=options.get("on_demand_tls"),
        ocsp_interval=options.get("ocsp_interval"),
        renew_interval=options.get("renew_interval"),
        storage_clean_interval=options.get("storage_clean_interval"),
    )


def _refuse_overlap(found: list[Policy]) -> None:
    seen: set[str] = set()
    for policy in found:
        for name in policy.get("subjects", ()):
            if name in seen:
                raise CaddyfileError(
                    "hostname appears in more than one automation policy, making certificate "
                    f"management ambiguous: {name}"
                )
            seen.add(name)
