"""Authentication, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec


def _module(module_id: str, model: str, implementation: str, summary: str) -> ModuleSpec:
    return ModuleSpec(
        id=module_id,
        room="edge",
        config=f"services.edge.authentication.config:{model}",
        implementation=f"services.edge.authentication.{implementation}",
        summary=summary,
    )


MODULES: tuple[ModuleSpec, ...] = (
    _module(
        "http.handlers.authentication", "AuthenticationConfig", "handler:Authentication",
        "lets through whom a provider knows",
    ),
    _module(
        "http.authentication.providers.http_basic", "HttpBasicConfig", "basic:HttpBasic",
        "names and passwords",
    ),
    _module("http.authentication.hashes.bcrypt", "HashConfig", "hashes:Bcrypt", "passwords hashed with bcrypt"),
    _module("http.authentication.hashes.argon2id", "HashConfig", "hashes:Argon2id", "passwords hashed with argon2id"),
)  # fmt: skip
