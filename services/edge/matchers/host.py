"""``http.matchers.host``: an exact set first, then wildcards, then what has placeholders."""

from __future__ import annotations

from collections.abc import Callable

from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.http.placeholders.request import split_host
from quantum.modules.hosts import to_ascii
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import HostConfig

REMEMBERED_HOSTS = 1024
"""Authorities whose host part is kept: clients ask for the same few, in the same spelling."""

_hosts: dict[str, str] = {}


def host_of(request: Request) -> str:
    """Return the host asked for: lower case, no port, no brackets."""
    authority = request.authority
    host = _hosts.get(authority)
    if host is None:
        host = split_host(authority)[0].lower()
        if len(_hosts) >= REMEMBERED_HOSTS:
            _hosts.clear()
        _hosts[authority] = host
    return host


def host(config: HostConfig, provision: Provision) -> Matcher:
    """Return the question whether the request is for one of the names."""
    dynamic = [compile_template(name) for name in config.root if "{" in name]
    names = [to_ascii(name) for name in config.root if "{" not in name]
    is_literal = literal_hosts(names)
    if not dynamic:
        return lambda request: is_literal(host_of(request))

    def matches(request: Request) -> bool:
        asked = host_of(request)
        return is_literal(asked) or any(
            literal_hosts([expand(request).lower()])(asked) for expand in dynamic
        )

    return matches


def literal_hosts(names: list[str]) -> Callable[[str], bool]:
    """Return the question whether a host, in lower case, is one of ``names`` or under a wildcard."""
    exact = frozenset(name for name in names if "*" not in name)
    under = frozenset(n[2:] for n in names if n.startswith("*.") and "*" not in n[2:])
    others = [n.split(".") for n in names if "*" in n and n[2:] not in under]
    if not under and not others:
        return exact.__contains__
    if not others:
        return lambda asked: asked in exact or asked.partition(".")[2] in under

    def matches(asked: str) -> bool:
        if asked in exact or asked.partition(".")[2] in under:
            return True
        labels = asked.split(".")
        return any(_same(pattern, labels) for pattern in others)

    return matches


def _same(pattern: list[str], labels: list[str]) -> bool:
    return len(pattern) == len(labels) and all(
        wanted in {"*", label} for wanted, label in zip(pattern, labels, strict=True)
    )
