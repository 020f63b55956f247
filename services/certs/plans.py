"""Who signs for a name: the first policy that fits, else Caddy's defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from quantum.errors import ConfigError, unusable
from quantum.modules.config import ModuleConfig
from services.certs.config import (
    AcmeIssuerConfig,
    AutomationPolicy,
    InternalIssuerConfig,
    PkiApp,
    TlsApp,
)
from services.certs.issuers.api import Issuer, Surroundings
from services.certs.issuers.internal import InternalIssuer
from services.certs.material import wildcard_of
from services.certs.names import is_public, normalise
from services.certs.ondemand.config import HttpPermissionConfig, OnDemand
from services.certs.ondemand.managers import Manager
from services.certs.ondemand.permission import HttpPermission, Permission


@dataclass(frozen=True)
class Plan:
    """How to have a certificate for a name: whom to ask in turn, which key, when to renew.

    ``managers`` are asked before anything is obtained. ``on_demand``: names that no configuration spells
    out may be obtained too, if ``permission`` allows them (None: nobody has to be asked).
    """

    issuers: tuple[Issuer, ...]
    key_type: str = "p256"
    ratio: float = 1 / 3
    managers: tuple[Manager, ...] = ()
    on_demand: bool = False
    permission: Permission | None = None
    reuses_keys: bool = False

    @property
    def is_prompt(self) -> bool:
        """Whether a handshake may wait for it."""
        return all(issuer.is_prompt for issuer in self.issuers)


class Plans:
    """The plans of one revision."""

    def __init__(self, tls: TlsApp, surroundings: Surroundings) -> None:
        """Make the issuers; ConfigError when one cannot work."""
        self._surroundings = surroundings
        self._permission = _permission(tls.automation.on_demand)
        self._policies = [
            (_subjects(policy), self._plan(policy, f"apps.tls.automation.policies[{index}]"))
            for index, policy in enumerate(tls.automation.policies)
        ]
        self._internal = Plan((InternalIssuer(InternalIssuerConfig(), surroundings),))
        self._acme: Plan | None = None

    def plan_for(self, name: str) -> Plan:
        """Return the plan of a normalised name."""
        for subjects, plan in self._policies:
            if subjects is None or name in subjects or wildcard_of(name) in subjects:
                return plan if plan.issuers else replace(plan, issuers=self._default(name).issuers)
        return self._default(name)

    def _default(self, name: str) -> Plan:
        if not is_public(name):
            return self._internal
        if self._acme is None:
            # The library of ACME, with requests and pyOpenSSL, is not for deployments without public names.
            from services.certs.issuers.acme import AcmeIssuer

            self._acme = Plan((AcmeIssuer(AcmeIssuerConfig(), self._surroundings),))
        return self._acme

    def _plan(self, policy: AutomationPolicy, path: str) -> Plan:
        issuers = tuple(self._make(module) for module in policy.issuers)
        managers = tuple(_instance(module) for module in policy.get_certificate)
        on_demand = policy.on_demand
        if on_demand and self._permission is None and not _is_bounded(policy):
            if not managers:
                raise ConfigError(
                    f"{path}.on_demand",
                    "anybody could have certificates ordered for any name",
                    "set apps.tls.automation.on_demand.permission, or name subjects without wildcards",
                )
            on_demand = False  # Caddy's rule: what the managers have, and nothing is ordered
        return Plan(
            issuers,
            policy.key_type,
            policy.renewal_window_ratio,
            managers,
            on_demand,
            self._permission,
            policy.reuse_private_keys,
        )

    def _make(self, module: ModuleConfig) -> Issuer:
        try:
            issuer: Issuer = module.spec.load_implementation()(module.config, self._surroundings)
        except (ValueError, OSError) as error:
            raise unusable(module.path, error) from error
        return issuer


def _permission(config: OnDemand) -> Permission | None:
    if config.permission is not None and config.ask is not None:
        raise ConfigError(
            "apps.tls.automation.on_demand.ask", "says the same as permission", "leave it out"
        )
    if config.ask is not None:
        return HttpPermission(HttpPermissionConfig(endpoint=config.ask))
    return _instance(config.permission) if config.permission is not None else None


def _instance(module: ModuleConfig) -> Any:
    return module.spec.load_implementation()(module.config)


def _is_bounded(policy: AutomationPolicy) -> bool:
    """Whether strangers cannot order without end: names that are spelled out, or our own authority alone."""
    if policy.issuers and all(module.spec.name == "internal" for module in policy.issuers):
        return True
    return bool(policy.subjects) and not any("*" in subject for subject in policy.subjects)


def _subjects(policy: AutomationPolicy) -> frozenset[str] | None:
    if not policy.subjects:
        return None
    return frozenset(n for n in (normalise(s) for s in policy.subjects) if n is not None)


def check_lifetimes(tls: TlsApp, pki: PkiApp) -> None:
    """Refuse leaves that would outlive their intermediate (Caddy's rule)."""
    for policy in tls.automation.policies:
        for module in policy.issuers:
            config = module.config
            if not isinstance(config, InternalIssuerConfig):
                continue
            authority = pki.authority(config.ca)
            if authority is None:
                raise ConfigError(
                    f"{module.path}.ca",
                    f"there is no authority {config.ca!r}",
                    "name it in apps.pki.certificate_authorities",
                )
            if config.lifetime >= authority.intermediate_lifetime and not config.sign_with_root:
                raise ConfigError(
                    f"{module.path}.lifetime",
                    "must be shorter than the lifetime of the intermediate certificate",
                    "raise intermediate_lifetime of the authority",
                )
