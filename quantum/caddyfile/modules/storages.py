"""Storage modules."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.namespaces import Readers, take_module


def _file_system(d: Dispenser) -> dict[str, Any]:
    d.next()
    root = d.val if d.next_arg() else ""
    d.no_more()
    for word in d.block():
        if word != "root":
            raise d.error(f"unrecognized parameter '{word}'")
        if not d.next_arg():
            raise d.arg_error()
        if root:
            raise d.error("root already set")
        root = d.val
        d.no_more()
    if not root:
        raise d.error("missing root path (to use default, omit storage config entirely)")
    return {"root": root}


STORAGES: Readers = {"file_system": _file_system}


def take_storage(d: Dispenser) -> dict[str, Any]:
    """Return the storage that the next argument names."""
    return take_module(d, "caddy.storage", STORAGES, "module")
