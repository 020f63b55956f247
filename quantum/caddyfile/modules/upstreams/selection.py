"""Which upstream is chosen, and where upstreams come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, take_module
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values import numbers

Read = Callable[[Dispenser], dict[str, Any]]


def take_policy(d: Dispenser) -> dict[str, Any]:
    """Return the selection policy that the next argument names."""
    return take_module(d, "http.reverse_proxy.selection_policies", POLICIES, "policy")


def _plain(d: Dispenser) -> dict[str, Any]:
    d.next()
    d.no_more()
    return {}


def _random_choose(d: Dispenser) -> dict[str, Any]:
    d.next()
    value = d.arg()
    try:
        return {"choose": numbers.parse_int(value)}
    except CaddyfileError as error:
        raise d.error(f"invalid choice value '{value}': {error.problem}") from None


def _weighted(d: Dispenser) -> dict[str, Any]:
    d.next()
    weights = []
    for value in d.some():
        try:
            weights.append(numbers.parse_int(value))
        except CaddyfileError as error:
            raise d.error(f"invalid weight value '{value}': {error.problem}") from None
        if weights[-1] < 0:
            raise d.error(f"invalid weight value '{value}': weight should be non-negative")
    return {"weights": weights}


def _keyed(field: str) -> Read:
    def read(d: Dispenser) -> dict[str, Any]:
        d.next()
        made: dict[str, Any] = {field: d.arg()}
        return _with_fallback(d, made, {})

    return read


def _cookie(d: Dispenser) -> dict[str, Any]:
    d.next()
    args = d.rest()
    if len(args) > 2:
        raise d.arg_error()
    made: dict[str, Any] = dict(zip(("name", "secret"), args, strict=False))
    return _with_fallback(d, made, {"max_age": Setting("max_age", _max_age)})


def _max_age(d: Dispenser) -> int:
    value = d.arg()
    try:
        age = numbers.parse_duration(value)
    except CaddyfileError as error:
        raise d.error(f"invalid duration: {value}") from error
    if age <= 0:
        raise d.error(f"invalid duration: {value}, max_age should be non-zero and positive")
    d.no_more()
    return age


def _with_fallback(d: Dispenser, made: dict[str, Any], more: dict[str, Setting]) -> dict[str, Any]:
    for word in d.block():
        if word == "fallback":
            if "fallback" in made:
                raise d.error("fallback selection policy already specified")
            made["fallback"] = take_policy(d)
        elif word in more:
            more[word].apply(d, made)
        else:
            raise d.error(f"unrecognized option '{word}'")
    return made


POLICIES: Readers = {
    **dict.fromkeys(
        (
            "random",
            "least_conn",
            "round_robin",
            "first",
            "ip_hash",
            "client_ip_hash",
            "uri_hash",
            "peak_ewma",
        ),
        _plain,
    ),
    "random_choose": _random_choose,
    "weighted_round_robin": _weighted,
    "query": _keyed("key"),
    "header": _keyed("field"),
    "cookie": _cookie,
}


def take_source(d: Dispenser) -> dict[str, Any]:
    """Return the source of upstreams that the next argument names."""
    return take_module(d, "http.reverse_proxy.upstreams", SOURCES, "source")


def _resolvers(d: Dispenser) -> list[str]:
    found = d.rest()
    if not found:
        raise d.error("must specify at least one resolver address")
    return found


def _versions(d: Dispenser) -> dict[str, bool]:
    found: dict[str, bool] = {}
    args = d.rest()
    if not args:
        raise d.error("must specify at least one version")
    for value in args:
        if value not in {"ipv4", "ipv6"}:
            raise d.error(f"unsupported version: '{value}'")
        found[value] = True
    return found


LOOKUP = {
    "refresh": Setting("refresh", settings.duration("parsing refresh interval duration: {error}")),
    "resolvers": Setting("resolver.addresses", _resolvers),
    "dial_timeout": Setting(
        "dial_timeout", settings.duration("bad timeout value '{value}': {error}")
    ),
    "dial_fallback_delay": Setting(
        "dial_fallback_delay", settings.duration("bad delay value '{value}': {error}")
    ),
}


def _once(d: Dispenser, made: dict[str, Any], name: str) -> None:
    value = d.arg()
    if made.get(name):
        raise d.error(f"{name} has already been specified")
    made[name] = value


def _a(d: Dispenser) -> dict[str, Any]:
    d.next()
    args = d.rest()
    if len(args) > 2:
        raise d.arg_error()
    made: dict[str, Any] = dict(zip(("name", "port"), args, strict=False))
    table = {**LOOKUP, "versions": Setting("versions", _versions)}
    return _named(d, made, ("name", "port"), table, "unrecognized a option '{}'")


def _srv(d: Dispenser) -> dict[str, Any]:
    d.next()
    args = d.rest()
    if len(args) > 1:
        raise d.arg_error()
    made: dict[str, Any] = {"name": args[0]} if args else {}
    grace = settings.duration("parsing grace period duration: {error}")
    table = {**LOOKUP, "grace_period": Setting("grace_period", grace)}
    return _named(d, made, ("service", "proto", "name"), table, "unrecognized srv option '{}'")


def _named(
    d: Dispenser,
    made: dict[str, Any],
    names: tuple[str, ...],
    table: dict[str, Setting],
    unknown: str,
) -> dict[str, Any]:
    for word in d.block():
        if word in names:
            _once(d, made, word)
        elif word in table:
            table[word].apply(d, made)
        else:
            raise d.error(unknown.format(word))
    return made


def _multi(d: Dispenser) -> dict[str, Any]:
    from quantum.caddyfile.modules.namespaces import read_module

    d.next()
    d.no_more()
    sources = [read_module(d, "http.reverse_proxy.upstreams", SOURCES, "source") for _ in d.block()]
    return {"sources": sources}


SOURCES: Readers = {"a": _a, "srv": _srv, "multi": _multi}

__all__ = ["POLICIES", "SOURCES", "read_block", "take_policy", "take_source"]
