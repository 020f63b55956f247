"""Directives that Caddy has by plugins or not at all: ``rate_limit`` (the plugin's words) and ``file_sync``."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import matchers, settings
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values.encoding import compact

ZONE = {
    "key": Setting("key", settings.text_only),
    "window": Setting("window", settings.duration("invalid window duration '{value}': {error}")),
    "events": Setting("max_events", settings.integer("invalid max events integer '{value}': {error}")),
    "concurrent": Setting("max_concurrent", settings.integer()),
    "match": Setting("match", lambda d: [matchers.nested(d)], add=True),
}  # fmt: skip

DISTRIBUTED = {
    "read_interval": Setting(
        "read_interval", settings.duration("invalid read interval '{value}': {error}")
    ),
    "write_interval": Setting(
        "write_interval", settings.duration("invalid write interval '{value}': {error}")
    ),
}


def _zones(d: Dispenser) -> dict[str, Any]:
    """Read ``zone <name> { key, match, window, events, concurrent }``."""
    name = d.only()
    zone: dict[str, Any] = {}
    read_block(d, zone, ZONE)
    if not zone.get("max_concurrent") and not (zone.get("window") and zone.get("max_events")):
        raise d.error("a rate limit zone requires both a window and maximum events")
    return {name: zone}


def _distributed(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    d.no_more()
    read_block(d, made, DISTRIBUTED)
    return made


def rate_limit(context: Context) -> dict[str, Any]:
    """``rate_limit { zone <name> { … }, distributed { … }, jitter <ratio>, log_key }``."""
    d = context.d
    d.next()
    d.no_more()
    made: dict[str, Any] = {}
    zones: dict[str, Any] = {}
    table = {
        "distributed": Setting("distributed", _distributed),
        "jitter": Setting("jitter", settings.number("invalid jitter percentage '{value}': {error}")),
        "log_key": Setting("log_key", settings.flag),
    }  # fmt: skip
    for word in d.block():
        if word == "zone":
            zones.update(_zones(d))
        elif word in table:
            table[word].apply(d, made)
        else:
            raise d.error(f"unrecognized subdirective '{word}'")
    return {**compact(rate_limits=zones), **made}


FILE_SYNC = {
    "root": Setting("root", settings.text_only),
    "enable_upload": Setting("enable_upload", settings.flag),
    "share": Setting("share", settings.text_only),
    "allowed_origins": Setting("allowed_origins", settings.texts, add=True),
    "content": Setting("content", settings.text_only),
    "token_key": Setting("token_key", settings.text_only),
    "token_key_file": Setting("token_key_file", settings.text_only),
    "require_token": Setting("require_token", settings.text_only),
    "revoked_tokens": Setting("revoked_tokens", settings.texts, add=True),
    "history_age": Setting("history_age", settings.duration()),
    **{name: Setting(name, settings.size()) for name in ("max_file_size", "quota")},
    **{
        name: Setting(name, settings.integer())
        for name in (
            "max_clients", "max_clients_per_address", "max_rate", "max_delete_files",
            "max_delete_percent", "history_operations",
        )
    },
}  # fmt: skip
"""Every field of the handler but ``quiet``, by its own name."""


def file_sync(context: Context) -> dict[str, Any]:
    """``file_sync [<root>] { <field> <value>, quiet <glob> <duration> }``."""
    d = context.d
    made: dict[str, Any] = {}
    d.next()
    if d.next_arg():
        made["root"] = d.val
    d.no_more()
    for word in d.block():
        if word == "quiet":
            pattern = d.arg()
            made.setdefault("quiet", {})[pattern] = settings.duration()(d)
        elif word in FILE_SYNC:
            FILE_SYNC[word].apply(d, made)
        else:
            raise d.error(f"unrecognized subdirective '{word}'")
    if not made.get("root"):
        raise d.error("file_sync needs a folder: file_sync <root>")
    return made
