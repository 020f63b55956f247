"""The table from module ids to modules, filled from the manifests, never by import side effects."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from quantum.config.model import path_of
from quantum.errors import ConfigError
from quantum.modules.kernel import KERNEL_MODULES
from quantum.modules.known import KNOWN_TO_CADDY
from quantum.modules.spec import ModuleSpec

INLINE_KEYS = {
    "caddy.listeners": "wrapper",
    "caddy.logging.encoders": "format",
    "caddy.logging.writers": "output",
    "caddy.storage": "module",
    "dns.providers": "name",
    "http.authentication.hashes": "algorithm",
    "http.handlers": "handler",
    "http.ip_sources": "source",
    "http.reverse_proxy.selection_policies": "policy",
    "http.reverse_proxy.transport": "protocol",
    "http.reverse_proxy.upstreams": "source",
    "tls.ca_pool.source": "provider",
    "tls.client_auth.verifier": "verifier",
    "tls.get_certificate": "via",
    "tls.issuance": "module",
    "tls.leaf_cert_loader": "loader",
    "tls.permission": "module",
    "tls.stek": "provider",
}
"""Where an object carries its own type's name, and under which key (Caddy's inline keys)."""


class Registry:
    """All modules of the program, the kernel's among them. Immutable once made."""

    def __init__(self, specs: Iterable[ModuleSpec]) -> None:
        self._specs = {spec.id: spec for spec in (*KERNEL_MODULES, *specs)}

    def __iter__(self) -> Iterator[ModuleSpec]:
        return iter(self._specs.values())

    def get(self, namespace: str, name: Any, path: str) -> ModuleSpec:
        """Return the module ``namespace.name``; ConfigError at ``path`` when there is none."""
        spec = self._specs.get(f"{namespace}.{name}")
        if spec is not None:
            return spec
        module_id = f"{namespace}.{name}"
        if module_id in KNOWN_TO_CADDY:
            raise ConfigError(path, f"known to Caddy, not built here yet: {module_id}")
        names = sorted(s.name for s in self._specs.values() if s.namespace == namespace)
        near = difflib.get_close_matches(str(name), names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise ConfigError(path, f"unknown module {module_id}", remedy)

    def split_inline(
        self, namespace: str, value: Any, path: str
    ) -> tuple[ModuleSpec, dict[str, Any]]:
        """Return the module that an object with an inline key names, and its remaining fields."""
        key = INLINE_KEYS[namespace]
        if not isinstance(value, dict):
            raise ConfigError(path, f"must be an object with the key {key!r}")
        found = next((k for k in value if k.lower() == key), None)
        if found is None:
            raise ConfigError(path, f"key {key!r} is missing", f"it names the {namespace} module")
        spec = self.get(namespace, value[found], f"{path_of(value) or path}.{found}")
        return spec, {k: v for k, v in value.items() if k != found}
