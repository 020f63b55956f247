"""The configurations of ``http.handlers.authentication`` and what it is made of, by Caddy's names."""

from __future__ import annotations

import base64
import binascii
import re

from pydantic import Field, field_validator, model_validator

from quantum.config.model import StrictModel
from quantum.config.units import Secret
from quantum.modules.config import InlineModule, ModuleMap

SHAPES = {
    "bcrypt": re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}"),
    "argon2id": re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"),
}
"""What the hashes of each algorithm look like."""


class AuthenticationConfig(StrictModel):
    """``http.handlers.authentication``: lets through whom one of the providers knows; 401 to others."""

    providers: ModuleMap("http.authentication.providers") = Field(default_factory=dict)  # type: ignore[valid-type]


class HashConfig(StrictModel):
    """``http.authentication.hashes.*``: the parameters are part of each hash, so there are no fields."""


class HashCacheConfig(StrictModel):
    """``hash_cache``: its presence remembers passwords that were right."""


class Account(StrictModel):
    """A name and the hash of its password: as it is printed, or base64 of that (older Caddy).

    Both may be ``{env.NAME}`` or ``{file.PATH}``.
    """

    username: str = Field(min_length=1)
    password: Secret

    @field_validator("password")
    @classmethod
    def _printed(cls, password: Secret) -> Secret:
        text = password.reveal()
        if text.startswith(("$", "{")):
            return password
        try:
            return Secret(base64.b64decode(text, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(
                "no hash of a password: make one with `quantum hash-password`"
            ) from None


class HttpBasicConfig(StrictModel):
    """``http.authentication.providers.http_basic``: names and passwords (RFC 7617)."""

    hash: InlineModule("http.authentication.hashes") | None = None  # type: ignore[valid-type]
    accounts: list[Account] = Field(default_factory=list)
    realm: str = Field(default="", pattern=r"^[^\x00-\x1f\x7f]*$")
    hash_cache: HashCacheConfig | None = None

    @property
    def algorithm(self) -> str:
        """The name of the hash: bcrypt unless another is chosen."""
        return self.hash.spec.name if self.hash is not None else "bcrypt"

    @model_validator(mode="after")
    def _are_known_hashes(self) -> HttpBasicConfig:
        seen: set[str] = set()
        for index, account in enumerate(self.accounts):
            if account.username in seen:
                raise ValueError(f"accounts[{index}]: {account.username!r} is there twice")
            seen.add(account.username)
            text = account.password.reveal()
            if not text.startswith("{") and not SHAPES[self.algorithm].fullmatch(text):
                raise ValueError(
                    f"accounts[{index}].password is no hash of {self.algorithm}: choose "
                    f'"hash": {{"algorithm": …}} or make one with `quantum hash-password`'
                )
        return self
