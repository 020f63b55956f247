"""Filters of fields: what is left out, renamed, replaced, hashed or masked before a line is written.

A path names a field and, after ``>``, one inside it: ``request>headers>Cookie``. Filters of texts work
on a text and on each text of a list; other values they leave alone. Source: Caddy's ``caddy.logging.encoders.filter``.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantum.config.logs.encoders import (
    CookieFilter,
    DeleteFilter,
    HashFilter,
    IpMaskFilter,
    MultiRegexpFilter,
    QueryFilter,
    RegexpFilter,
    RenameFilter,
    ReplaceFilter,
)
from quantum.config.pattern import Pattern
from quantum.http.query import encode_query, parse_query

Change = Callable[[str, Any], tuple[str, Any] | None]
"""From a field's name and value to what is written, None for nothing."""
Fields = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class _Node:
    change: Change | None = None
    inside: dict[str, _Node] = field(default_factory=dict)


def compile_filters(filters: Mapping[str, Any]) -> Fields:
    """Return the function that filters the fields of an entry; it makes a new dictionary."""
    root = _Node()
    for path, config in filters.items():
        node = root
        for name in path.split(">"):
            node = node.inside.setdefault(name, _Node())
        node.change = _COMPILE[type(config)](config)
    return lambda fields: _apply(root.inside, fields)


def _apply(nodes: Mapping[str, _Node], fields: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        node = nodes.get(name)
        if node is None:
            kept[name] = value
            continue
        shown = (name, value) if node.change is None else node.change(name, value)
        if shown is not None:
            name, value = shown
            kept[name] = _apply(node.inside, value) if node.inside and isinstance(value, dict) else value  # fmt: skip
    return kept


def hashed(text: str) -> str:
    """Return the first four bytes of the SHA-256 of a text, as Caddy does."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _texts(change: Callable[[str], str]) -> Change:
    def changed(name: str, value: Any) -> tuple[str, Any]:
        if isinstance(value, str):
            return name, change(value)
        if isinstance(value, list):
            return name, [change(item) if isinstance(item, str) else item for item in value]
        return name, value

    return changed


def _masking(config: IpMaskFilter) -> Change:
    lengths = {4: config.ipv4_cidr, 6: config.ipv6_cidr}

    def masked(text: str) -> str:
        return ", ".join(_masked(part.strip(), lengths) for part in text.split(","))

    return _texts(masked)


def _masked(text: str, lengths: Mapping[int, int]) -> str:
    host, port = text, ""
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return text
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    network = ipaddress.ip_network(f"{address}/{lengths[address.version]}", strict=False)
    shown = str(network.network_address)
    if not port:
        return shown
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"


def _replacing(config: RegexpFilter | MultiRegexpFilter) -> Change:
    several = config.operations if isinstance(config, MultiRegexpFilter) else [config]
    operations = [(Pattern(one.regexp), one.value) for one in several]

    def replaced(text: str) -> str:
        for pattern, value in operations:
            text = pattern.replace(text, value)
        return text

    return _texts(replaced)


def _querying(config: QueryFilter) -> Change:
    def changed(text: str) -> str:
        path, mark, rest = text.partition("?")
        if not mark:
            return text
        raw, sharp, fragment = rest.partition("#")
        values, _ = parse_query(raw)
        for action in config.actions:
            given = values.get(action.parameter)
            if given is None:
                continue
            if action.type == "delete":
                del values[action.parameter]
            else:
                values[action.parameter] = [_acted(action.type, action.value, v) for v in given]
        query = encode_query(values)
        return f"{path}{'?' if query else ''}{query}{sharp}{fragment}"

    return _texts(changed)


def _acted(kind: str, replacement: str, value: str) -> str:
    return hashed(value) if kind == "hash" else replacement


def _cookies(config: CookieFilter) -> Change:
    actions: dict[str, tuple[str, str]] = {}
    for action in config.actions:
        actions.setdefault(action.name, (action.type, action.value))

    def pair(text: str) -> str | None:
        """Return one ``name=value``, None for a cookie that is deleted."""
        name, equals, value = text.partition("=")
        kind, replacement = actions.get(name.strip(), ("", ""))
        if not equals or not kind:
            return text
        if kind == "delete":
            return None
        return f"{name}={_acted(kind, replacement, value.strip(chr(34)))}"

    def of_request(value: str) -> str | None:
        kept = [shown for one in value.split(";") if (shown := pair(one.strip())) is not None]
        return "; ".join(kept) if kept else None

    def of_answer(value: str) -> str | None:
        first, semicolon, attributes = value.partition(";")
        shown = pair(first)
        return None if shown is None else f"{shown}{semicolon}{attributes}"

    change = of_request if config.filter == "cookie" else of_answer

    def changed(name: str, value: Any) -> tuple[str, Any]:
        if not isinstance(value, list):
            return name, value
        return name, [shown for item in value if (shown := change(str(item))) is not None]

    return changed


_COMPILE: dict[type, Callable[[Any], Change]] = {
    CookieFilter: _cookies,
    DeleteFilter: lambda config: lambda name, value: None,
    HashFilter: lambda config: _texts(hashed),
    IpMaskFilter: _masking,
    MultiRegexpFilter: _replacing,
    QueryFilter: _querying,
    RegexpFilter: _replacing,
    RenameFilter: lambda config: lambda name, value: (config.name, value),
    ReplaceFilter: lambda config: lambda name, value: (name, config.value),
}
