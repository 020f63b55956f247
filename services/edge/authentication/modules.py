"""Authentication, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec
from services.edge.specs import folder

_handler = folder("authentication", "http.handlers")
_provider = folder("authentication", "http.authentication.providers")
_hash = folder("authentication", "http.authentication.hashes")

MODULES: tuple[ModuleSpec, ...] = (
    _handler(
        "authentication", "AuthenticationConfig", "handler:Authentication",
        "lets through whom a provider knows",
    ),
    _provider(
        "http_basic", "HttpBasicConfig", "basic:HttpBasic",
        "names and passwords",
    ),
    _hash("bcrypt", "HashConfig", "hashes:Bcrypt", "passwords hashed with bcrypt"),
    _hash("argon2id", "HashConfig", "hashes:Argon2id", "passwords hashed with argon2id"),
)  # fmt: skip
