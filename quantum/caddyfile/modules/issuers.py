"""Issuers of certificates, and certificate managers."""

from __future__ import annotations

import copy
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.dns_providers import take_provider
from quantum.caddyfile.modules.namespaces import Readers, read_value, take_module
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values import numbers

ZEROSSL = "https://acme.zerossl.com/v2/DV90"
Issuer = dict[str, Any]
"""The fields of an issuer and its ``module``."""


def default_issuers(options: dict[str, Any]) -> list[Issuer]:
    """Return the issuers of a policy that names none."""
    if options.get("acme_ca") is not None:
        return [{"module": "acme"}]
    return of_email(options.get("email") or "")


def of_email(email: str) -> list[Issuer]:
    """Return the public issuers; the second wants to know whom to write to."""
    found: list[Issuer] = [{"module": "acme", "email": email}]
    if email:
        found.append({"module": "acme", "email": email, "ca": ZEROSSL})
    return found


def acme_part(issuer: Issuer) -> Issuer | None:
    """Return the issuer if it speaks ACME."""
    return issuer if issuer["module"] == "acme" else None


def fill_in_defaults(issuer: Issuer, options: dict[str, Any]) -> None:
    """Give an ACME issuer what the global options say and it does not."""
    if acme_part(issuer) is None:
        return
    for option, name in (
        ("email", "email"),
        ("acme_ca", "ca"),
        ("acme_eab", "external_account"),
        ("preferred_chains", "preferred_chains"),
        ("cert_lifetime", "certificate_lifetime"),
    ):
        if options.get(option) is not None and not issuer.get(name):
            issuer[name] = copy.deepcopy(options[option])
    root = options.get("acme_ca_root")
    roots = issuer.get("trusted_roots_pem_files", [])
    if root is not None and root not in roots:
        issuer["trusted_roots_pem_files"] = [*roots, root]
    if "acme_dns" in options and "provider" not in issuer.get("challenges", {}).get("dns", {}):
        _prove_by_dns(issuer, options)
    challenges = issuer.get("challenges", {})
    for hosts, _ in options.get("default_bind", ()):
        if hosts and not challenges.get("bind_host"):
            challenges = issuer.setdefault("challenges", {})
            challenges["bind_host"] = hosts[0]
    for option, name in (("http_port", "http"), ("https_port", "tls-alpn")):
        if options.get(option) is not None and "dns" not in challenges:
            challenge = issuer.setdefault("challenges", {}).setdefault(name, {})
            if not challenge.get("alternate_port"):
                challenge["alternate_port"] = options[option]


def _prove_by_dns(issuer: Issuer, options: dict[str, Any]) -> None:
    provider = options["acme_dns"]
    if provider is None and options.get("dns") is None:
        raise CaddyfileError(
            "acme_dns specified without DNS provider config, but no provider specified with 'dns' "
            "global option"
        )
    challenge = issuer.setdefault("challenges", {}).setdefault("dns", {})
    if provider is not None:  # otherwise the one of the tls app is taken
        challenge["provider"] = copy.deepcopy(provider)


def read_chains(d: Dispenser) -> dict[str, Any]:
    """Read ``preferred_chains``; the cursor is before its arguments."""
    made: dict[str, Any] = {}
    if d.next_arg():
        if d.val != "smallest":
            raise d.error(f"Invalid argument '{d.val}'")
        made["smallest"] = True
        d.no_more()
    if not settings.read_block(d, made, CHAINS, "unrecognized subdirective '{}'"):
        if not made:
            raise d.arg_error()
        return made
    if made.get("smallest") and len(made) > 1:
        raise d.error("No more options are accepted when using the 'smallest' option")
    if {"root_common_name", "any_common_name"} <= set(made):
        raise d.error("Can't set any_common_name when root_common_name is already set")
    return made


CHAINS = {
    "root_common_name": Setting("root_common_name", settings.texts),
    "any_common_name": Setting("any_common_name", settings.texts),
}


def _eab(d: Dispenser) -> dict[str, str]:
    key_id, mac_key = d.exactly(2)
    return {"key_id": key_id, "mac_key": mac_key}


def _propagation_timeout(d: Dispenser) -> int:
    value = d.arg()
    if value == "-1":
        return -1
    return _duration(d, value, "invalid propagation_timeout duration {}: {}")


def _duration(d: Dispenser, value: str, problem: str) -> int:
    try:
        return numbers.parse_duration(value)
    except CaddyfileError as error:
        raise d.error(problem.format(value, error.problem)) from None


def _boolean(d: Dispenser) -> bool:
    value = d.arg()
    try:
        return numbers.parse_bool(value)
    except CaddyfileError as error:
        raise d.error(f"invalid distributed value '{value}': {error.problem}") from None


def _port(name: str) -> settings.Read:
    return settings.integer("invalid port {value}: {error}")


DNS = {
    "dns": Setting("challenges.dns.provider", take_provider),
    "resolvers": Setting("challenges.dns.resolvers", settings.texts),
    "propagation_delay": Setting(
        "challenges.dns.propagation_delay",
        settings.duration("invalid propagation_delay duration {value}: {error}"),
    ),
    "propagation_timeout": Setting("challenges.dns.propagation_timeout", _propagation_timeout),
    "dns_ttl": Setting(
        "challenges.dns.ttl", settings.duration("invalid dns_ttl duration {value}: {error}")
    ),
    "dns_challenge_override_domain": Setting("challenges.dns.override_domain", settings.text_only),
}

ACME = {
    "dir": Setting("ca", settings.text_only),
    "test_dir": Setting("test_ca", settings.text_only),
    "email": Setting("email", settings.text_only),
    "profile": Setting("profile", settings.text_only),
    "timeout": Setting(
        "acme_timeout", settings.duration("invalid timeout duration {value}: {error}")
    ),
    "lifetime": Setting(
        "certificate_lifetime", settings.duration("invalid lifetime duration {value}: {error}")
    ),
    "eab": Setting("external_account", _eab),
    "trusted_roots": Setting("trusted_roots_pem_files", settings.any_texts),
    "disable_http_challenge": Setting("challenges.http.disabled", settings.flag),
    "disable_tlsalpn_challenge": Setting("challenges.tls-alpn.disabled", settings.flag),
    "distributed": Setting("challenges.distributed", _boolean),
    "alt_http_port": Setting("challenges.http.alternate_port", _port("http")),
    "alt_tlsalpn_port": Setting("challenges.tls-alpn.alternate_port", _port("tlsalpn")),
    "preferred_chains": Setting("preferred_chains", read_chains),
    **DNS,
}


def read_acme(d: Dispenser) -> Issuer:
    """Read ``acme [<directory>] { … }``."""
    made: Issuer = {}
    d.next()
    if d.next_arg():
        made["ca"] = d.val
        d.no_more()
    read_block(d, made, ACME, "unrecognized ACME issuer property: {}")
    return made


def _zerossl(d: Dispenser) -> Issuer:
    made: Issuer = {}
    d.next()
    made["api_key"] = d.only()
    table = {
        "validity_days": Setting("validity_days", settings.integer("invalid number of days {value}: {error}")),
        "alt_http_port": Setting("alternate_http_port", settings.integer("invalid port number {value}: {error}")),
        "dns": Setting("cname_validation.provider", take_provider),
        "resolvers": Setting("cname_validation.resolvers", settings.texts),
        "propagation_delay": Setting("cname_validation.propagation_delay", settings.duration("invalid propagation_delay duration {value}: {error}")),
        "propagation_timeout": Setting("cname_validation.propagation_timeout", _propagation_timeout),
        "dns_ttl": Setting("cname_validation.ttl", settings.duration("invalid dns_ttl duration {value}: {error}")),
    }  # fmt: skip
    read_block(d, made, table, "unrecognized zerossl issuer property: {}")
    return made


def _internal(d: Dispenser) -> Issuer:
    made: Issuer = {}
    d.next()
    table = {
        "ca": Setting("ca", settings.text_only),
        "lifetime": Setting("lifetime", settings.duration()),
        "sign_with_root": Setting("sign_with_root", settings.flag),
    }
    read_block(d, made, table, "unrecognized subdirective '{}'")
    return made


ISSUERS: Readers = {"acme": read_acme, "zerossl": _zerossl, "internal": _internal}


def take_issuer(d: Dispenser) -> Issuer:
    """Return the issuer that the next argument names."""
    d.arg()
    name, made = read_value(d, "tls.issuance", ISSUERS)
    return {**made, "module": name}


def _http_manager(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {"url": d.arg()}
    if d.next_arg():
        raise d.arg_error()
    if d.next_block(0):
        raise d.error("block not allowed here")
    return made


def _nothing(d: Dispenser) -> dict[str, Any]:
    d.next()
    d.no_more()
    return {}


MANAGERS: Readers = {"http": _http_manager, "tailscale": _nothing}


def take_manager(d: Dispenser) -> dict[str, Any]:
    """Return the certificate manager that the next argument names."""
    return take_module(d, "tls.get_certificate", MANAGERS, "via")
