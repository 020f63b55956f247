"""Automation policies: the global one, and which of many say the same."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.sites import names
from quantum.caddyfile.values.encoding import compact
from quantum.caddyfile.values.sorting import stable_sort

Policy = dict[str, Any]
"""Caddy's fields, where ``issuers`` are not yet written and ``written`` are."""

FIELDS = (
    "subjects", "issuers", "get_certificate", "must_staple", "renewal_window_ratio", "key_type",
    "storage", "on_demand", "reuse_private_keys", "disable_ocsp_stapling", "ocsp_overrides",
)  # fmt: skip
COMPARED = (
    "get_certificate", "storage", "must_staple", "key_type", "on_demand",
    "reuse_private_keys", "renewal_window_ratio",
)  # fmt: skip


def base(options: dict[str, Any]) -> Policy | None:
    """Return what the global options ask of every policy; None when nothing."""
    issuers = options.get("cert_issuer")
    local = "local_certs" in options
    if issuers and local:
        raise CaddyfileError(
            "global options are ambiguous: local_certs is confusing when combined with "
            "cert_issuer, because local_certs is also a specific kind of issuer"
        )
    if (
        not issuers
        and not local
        and not options.keys()
        & {
            "acme_ca",
            "acme_ca_root",
            "acme_dns",
            "acme_eab",
            "preferred_chains",
            "key_type",
            "ocsp_stapling",
            "renewal_window_ratio",
        }
    ):
        return None
    return compact(
        issuers=list(issuers) if issuers else [{"module": "internal"}] if local else [],
        key_type=options.get("key_type"),
        renewal_window_ratio=options.get("renewal_window_ratio"),
        disable_ocsp_stapling=options.get("ocsp_stapling") == "off",
    )


def to_json(policy: Policy) -> dict[str, Any]:
    """Return the object, in the order of Caddy's fields."""
    shown = {**policy, "issuers": policy.get("written")}
    return compact(**{name: shown.get(name) for name in FIELDS})


def is_all_public(policy: Policy) -> bool:
    """Whether every subject can have a public certificate."""
    return all(
        names.qualifies_for_public(name) or (policy.get("on_demand") and _is_open(name))
        for name in policy.get("subjects", ())
    )


def _is_open(name: str) -> bool:
    return "*" in name and not names.is_internal(name)


def consolidate(found: list[Policy]) -> list[Policy]:
    """Return the policies, the specific ones first, without those that say nothing new."""
    made = list(found)
    stable_sort(made, _goes_first)
    if all(_is_empty(policy) for policy in made):
        return []
    _drop_covered(made)
    if _is_empty(made[-1]):
        # The last one asks for nothing that those without a policy do not get.
        del made[-1]
    _merge(made)
    return made


COVERS = {"subjects", "get_certificate"}


def _drop_covered(made: list[Policy]) -> None:
    """Drop those that ask for nothing and whose names another such policy covers later."""
    i = 0
    while i < len(made):
        cover = _shadow(i, made)
        # One with nothing but managers covers as well: what they do not have is asked for as usual.
        if cover > i and _is_empty(made[i]) and set(compact(**made[cover])) <= COVERS:
            del made[i]
        else:
            i += 1


def _is_empty(policy: Policy) -> bool:
    return set(compact(**policy)) <= {"subjects"}


def _goes_first(a: Policy, b: Policy) -> bool:
    if _is_subset(a, b):
        return True
    if _is_subset(b, a):
        return False
    return len(a.get("subjects", ())) > len(b.get("subjects", ()))


def _is_subset(a: Policy, b: Policy) -> bool:
    if not b.get("subjects"):
        return True
    if not a.get("subjects"):
        return False
    return all(
        any(names.matches_wildcard(name, pattern) for pattern in b["subjects"])
        for name in a["subjects"]
    )


def _merge(made: list[Policy]) -> None:
    i = 0
    while i < len(made):
        j = i + 1
        while j < len(made):
            if compact(**made[i]) == compact(**made[j]):
                del made[j]
                continue
            if _says_the_same(made[i], made[j]):
                if made[i].get("subjects") and not made[j].get("subjects"):
                    if _shadow(i, made) >= j:
                        del made[i]
                        i -= 1
                        break
                else:
                    here = made[i].get("subjects", [])
                    new = [name for name in made[j].get("subjects", ()) if name not in here]
                    made[i] = {**made[i], "subjects": [*here, *new]}
                    del made[j]
                    continue
            j += 1
        i += 1


def _says_the_same(a: Policy, b: Policy) -> bool:
    if any((a.get(name) or None) != (b.get(name) or None) for name in COMPARED):
        return False
    written = a.get("written") or [], b.get("written") or []
    if written[0] == written[1] and (written[0] or not b.get("subjects")):
        return True
    # Who issues is left open: then it follows from the names.
    is_open = not (a.get("issuers") or b.get("issuers"))
    return is_open and is_all_public(a) == is_all_public(b)


def _shadow(i: int, made: list[Policy]) -> int:
    """Return the first later policy that covers all of policy ``i``; -1 when none does."""
    return next((j for j in range(i + 1, len(made)) if _is_subset(made[i], made[j])), -1)
