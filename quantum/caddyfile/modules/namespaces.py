"""Modules by name: the part of a Caddyfile that a module reads itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.values.encoding import module

Readers = Mapping[str, Callable[[Dispenser], dict[str, Any]]]


def read_module(d: Dispenser, namespace: str, readers: Readers, key: str) -> dict[str, Any]:
    """Return the module that the current token names, with its name under ``key``."""
    name, value = read_value(d, namespace, readers)
    return module(value, key, name)


def read_value(d: Dispenser, namespace: str, readers: Readers) -> tuple[str, Any]:
    """Return the name and the value of the module that the current token names."""
    name = d.val
    if name not in readers:
        raise d.error(
            f"getting module named '{namespace}.{name}': module not registered: {namespace}.{name}"
        )
    # The module sees its own segment only, as if it stood alone.
    inner = d.fork()
    return name, readers[name](inner)


def take_module(d: Dispenser, namespace: str, readers: Readers, key: str) -> dict[str, Any]:
    """Return the module that the next argument names."""
    d.arg()
    return read_module(d, namespace, readers, key)


def unreadable(namespace: str, name: str) -> Callable[[Dispenser], dict[str, Any]]:
    """Return the reader of a module that Caddyfiles cannot configure."""

    def read(d: Dispenser) -> dict[str, Any]:
        raise CaddyfileError(f"module {namespace}.{name} is not a Caddyfile unmarshaler")

    return read
