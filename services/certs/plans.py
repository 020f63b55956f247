"""Who signs for a name: the first policy that fits, else Caddy's defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quantum.errors import ConfigError
from quantum.modules.config import ModuleConfig
from services.certs.config import (
    AcmeIssuerConfig,
    AutomationPolicy,
    InternalIssuerConfig,
    PkiApp,
    TlsApp,
)
from services.certs.issuers.acme import AcmeIssuer
from services.certs.issuers.api import Issuer, Surroundings
from services.certs.issuers.internal import InternalIssuer
from services.certs.material import wildcard_of
from services.certs.names import is_public, normalise


@dataclass(frozen=True)
class Plan:
    """How to have a certificate for a name: whom to ask in turn, which key, when to renew."""

    issuers: tuple[Issuer, ...]
    key_type: str = "p256"
    ratio: float = 1 / 3

    @property
    def is_prompt(self) -> bool:
        """Whether a handshake may wait for it."""
        return all(issuer.is_prompt for issuer in self.issuers)


class Plans:
    """The plans of one revision."""

    def __init__(self, tls: TlsApp, surroundings: Surroundings) -> None:
        """Make the issuers; ConfigError when one cannot work."""
        self._surroundings = surroundings
        self._policies = [
            (_subjects(policy), self._plan(policy)) for policy in tls.automation.policies
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
            self._acme = Plan((AcmeIssuer(AcmeIssuerConfig(), self._surroundings),))
        return self._acme

    def _plan(self, policy: AutomationPolicy) -> Plan:
        issuers = tuple(self._make(module) for module in policy.issuers)
        return Plan(issuers, policy.key_type, policy.renewal_window_ratio)

    def _make(self, module: ModuleConfig) -> Issuer:
        try:
            issuer: Issuer = module.spec.load_implementation()(module.config, self._surroundings)
        except (ValueError, OSError) as error:
            raise ConfigError(module.path, f"cannot be used: {error}") from error
        return issuer


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
