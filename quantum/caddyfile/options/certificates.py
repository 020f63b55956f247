"""Options of certificates: ACME, issuers, on-demand, names."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import State
from quantum.caddyfile.directives.securing import read_ratio
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.dns_providers import take_provider
from quantum.caddyfile.modules.issuers import read_chains, take_issuer
from quantum.caddyfile.modules.namespaces import Readers, take_module
from quantum.caddyfile.values.encoding import module


def acme_eab(d: Dispenser, state: State) -> dict[str, str]:
    """``acme_eab { key_id, mac_key }``."""
    made: dict[str, str] = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word not in {"key_id", "mac_key"}:
            raise d.error(f"unrecognized parameter '{word}'")
        made[word] = d.arg()
    return made


def acme_dns(d: Dispenser, state: State) -> dict[str, Any] | None:
    """``acme_dns [<provider>]``; without one it is that of ``dns``."""
    d.next()
    return take_provider(d) if d.count_rest() else None


def dns(d: Dispenser, state: State) -> dict[str, Any]:
    """``dns <provider>``."""
    d.next()
    provider = take_provider(d)
    state.options.setdefault("tls_app", {})["dns"] = provider
    return provider


def _no_provider(d: Dispenser) -> None:
    name = f"dns.providers.{d.val}"
    raise d.error(f"getting module named '{name}': module not registered: {name}")


def cert_issuer(d: Dispenser, state: State) -> list[dict[str, Any]]:
    """``cert_issuer <module> …``; each adds one."""
    d.next()
    return [*state.options.get("cert_issuer", ()), take_issuer(d)]


def preferred_chains(d: Dispenser, state: State) -> dict[str, Any]:
    """``preferred_chains [smallest] { root_common_name, any_common_name }``."""
    d.next()
    return read_chains(d)


def renewal_window_ratio(d: Dispenser, state: State) -> Any:
    """``renewal_window_ratio <ratio>``."""
    d.next()
    return read_ratio(d)


def tls_resolvers(d: Dispenser, state: State) -> None:
    """``tls_resolvers <addresses…>``."""
    d.next()
    state.options.setdefault("tls_app", {})["resolvers"] = d.some()


def ech(d: Dispenser, state: State) -> None:
    """``ech <public names…> { dns }``."""
    d.next()
    configs = [{"public_name": name} for name in d.some()]
    for word in d.block():
        if word != "dns":
            raise d.error(f"ech: unrecognized subdirective '{word}'")
        d.arg()
        _no_provider(d)
    app = state.options.setdefault("tls_app", {})
    app["encrypted_client_hello"] = {"configs": configs}


def _http_permission(d: Dispenser) -> dict[str, Any]:
    d.next()
    return {"endpoint": d.only()}


PERMISSIONS: Readers = {"http": _http_permission}


def on_demand_tls(d: Dispenser, state: State) -> dict[str, Any]:
    """``on_demand_tls { ask, permission }``."""
    made: dict[str, Any] = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word == "ask":
            _one_permission(d, made)
            made["permission"] = module({"endpoint": d.arg()}, "module", "http")
        elif word == "permission":
            _one_permission(d, made)
            made["permission"] = take_module(d, "tls.permission", PERMISSIONS, "module")
        elif word in {"interval", "burst"}:
            raise d.error(
                f"the on_demand_tls '{word}' option is no longer supported, remove it from your "
                "config"
            )
        else:
            raise d.error(f"unrecognized parameter '{word}'")
    if not made:
        raise d.error("expected at least one config parameter for on_demand_tls")
    return made


def _one_permission(d: Dispenser, made: dict[str, Any]) -> None:
    if made:
        raise d.error("on-demand TLS permission module (or 'ask') already specified")
