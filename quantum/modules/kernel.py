"""The modules that no room owns, because several obey them: every registry has them."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec


def _spec(name: str, model: str, summary: str) -> ModuleSpec:
    reference = f"quantum.modules.trust:{model}"
    return ModuleSpec(
        f"tls.ca_pool.source.{name}", "edge, proxy, health", reference, reference, summary=summary
    )


KERNEL_MODULES: tuple[ModuleSpec, ...] = (
    _spec("combined", "CombinedPool", "Trusted roots of several sources"),
    _spec("file", "FilePool", "Trusted roots from PEM files"),
    _spec("http", "HttpPool", "Trusted roots from web servers"),
    _spec("inline", "InlinePool", "Trusted roots in the configuration, base64 DER"),
    _spec("pki_intermediate", "AuthorityPool", "Intermediates of our own authorities"),
    _spec("pki_root", "AuthorityPool", "Roots of our own authorities"),
    _spec("storage", "StoragePool", "Trusted roots that the certs room keeps"),
    _spec("system", "SystemPool", "The system's roots"),
)
