"""DNS providers: Caddy's standard build has none; these words are those of its plugins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, take_module
from quantum.caddyfile.modules.settings import Setting, read_block

NAMESPACE = "dns.providers"


def _reader(
    fields: str, required: tuple[str, ...], first: str = ""
) -> Callable[[Dispenser], dict[str, Any]]:
    """Return the reader of ``<provider> [<first>] { … }``, each word of the block a field with one value."""
    table = {name: Setting(name, settings.text_only) for name in fields.split()}

    def read(d: Dispenser) -> dict[str, Any]:
        made: dict[str, Any] = {}
        d.next()
        if first and d.next_arg():
            made[first] = d.val
        d.no_more()
        read_block(d, made, table)
        for name in required:
            if not made.get(name):
                raise d.error(f"missing {name}")
        return made

    return read


def _acmedns(d: Dispenser) -> dict[str, Any]:
    """Read ``acmedns [<file>] { <account>, config { <domain> { <account> } } }``."""
    made: dict[str, Any] = {}
    d.next()
    if d.next_arg():
        made["config_file_path"] = d.val
    d.no_more()
    account = {
        name: Setting(name, settings.text_only)
        for name in ("username", "password", "subdomain", "server_url")
    }

    def accounts(d: Dispenser) -> dict[str, Any]:
        found: dict[str, Any] = {}
        d.no_more()
        full = {**account, "fulldomain": Setting("fulldomain", settings.text_only)}
        for domain in d.block():
            found[domain] = {}
            for word in d.block():
                if word not in full:
                    raise d.error(f"unrecognized subdirective '{word}'")
                full[word].apply(d, found[domain])
        return found

    read_block(d, made, {**account, "config": Setting("config", accounts)})
    return made


PROVIDERS: Readers = {
    "acmedns": _acmedns,
    "acmeproxy": _reader("endpoint username password", ("endpoint",), first="endpoint"),
    "cloudflare": _reader("api_token zone_token", ("api_token",), first="api_token"),
    "duckdns": _reader("api_token override_domain", ("api_token",), first="api_token"),
    "rfc2136": _reader("server key_name key_alg key", ("server",)),
}


def take_provider(d: Dispenser) -> dict[str, Any]:
    """Return the provider that the next argument names."""
    return take_module(d, NAMESPACE, PROVIDERS, "name")
