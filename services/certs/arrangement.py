"""What one revision says about certificates, and what follows from it for a name: pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from services.certs.files import LoadedCertificates
from services.certs.material import Material
from services.certs.names import PermittedNames
from services.certs.plans import Plan, Plans
from services.certs.renewal import is_due

LATE_RATIO = 1 / 20
"""The share of a lifetime at which a certificate is renewed whatever was suggested (certmagic's)."""


@dataclass(frozen=True)
class Arrangement:
    """What one revision says about certificates."""

    permitted: PermittedNames
    plans: Plans
    loaded: LoadedCertificates
    automate: tuple[str, ...] = ()


def is_signed_by(material: Material, plan: Plan) -> bool:
    """Whether one of the plan's issuers made it."""
    return any(issuer.key == material.issuer for issuer in plan.issuers)


def is_stale(
    material: Material,
    plan: Plan,
    now: datetime.datetime,
    suggested: datetime.datetime | None = None,
) -> bool:
    """Whether to renew: when the authority would like it, else by the plan's share of the lifetime.

    A suggestion cannot make it later than the last twentieth.
    """
    if not is_signed_by(material, plan):
        return True
    if suggested is not None:
        late = is_due(now, material.not_before, material.not_after, LATE_RATIO)
        return late or now >= suggested
    return is_due(now, material.not_before, material.not_after, plan.ratio)


def place_of(name: str, arrangement: Arrangement) -> tuple[str | None, Plan]:
    """Return what ``name`` is certified by, itself or its wildcard, and how; None: by demand alone.

    Where names are certified on demand each has its own certificate: a wildcard is what is allowed, not
    what is obtained.
    """
    managed = arrangement.permitted.resolve(name)
    if managed == name or managed is None:
        return managed, arrangement.plans.plan_for(name)
    plan = arrangement.plans.plan_for(name)
    return (None, plan) if plan.on_demand else (managed, arrangement.plans.plan_for(managed))


def may_have(name: str, arrangement: Arrangement) -> bool:
    """Whether ``name`` may be certified at all, by its configuration or on demand."""
    permitted = arrangement.permitted.resolve(name) is not None
    return permitted or arrangement.plans.plan_for(name).on_demand
