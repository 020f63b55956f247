"""Hashes of passwords: ``http.authentication.hashes.bcrypt`` and ``.argon2id``.

Both give the interpreter free while they compute, so they belong in threads (``comparing``). A hash
carries its parameters; the parameters here are those of ``quantum hash-password``, Caddy's defaults.
"""

from __future__ import annotations

import secrets
from typing import Protocol

import bcrypt
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from quantum.modules.lifetime import Provision
from services.edge.authentication.config import HashConfig

BCRYPT_COST = 14
BCRYPT_BYTES = 72
"""What bcrypt looks at; the rest of a longer password makes no difference (Go's compares the same)."""
ARGON2_TIME, ARGON2_MEMORY, ARGON2_THREADS, ARGON2_BYTES = 1, 46 * 1024, 1, 32
"""Passes, KiB, lanes and length of the result."""
SALT_BYTES = 16


class Hash(Protocol):
    """Compares a password with a hash. Takes tens of milliseconds and more: never on the event loop."""

    def is_of(self, hashed: str, password: bytes) -> bool:
        """Whether ``hashed`` is a hash of ``password``; ValueError when it is none at all."""

    def fake(self, like: str | None) -> str:
        """Return a hash of no password that takes as long as ``like``, or as a new one."""


class Bcrypt:
    """``http.authentication.hashes.bcrypt``."""

    def __init__(
        self, config: HashConfig | None = None, provision: Provision | None = None
    ) -> None:
        """It has no settings."""

    def is_of(self, hashed: str, password: bytes) -> bool:
        """Whether ``hashed`` is a hash of ``password``."""
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed.encode())

    def fake(self, like: str | None) -> str:
        """Return a hash of as many rounds."""
        cost = like.split("$")[2] if like else f"{BCRYPT_COST:02d}"
        return f"$2b${cost}$" + "." * 53

    @staticmethod
    def make(password: bytes, cost: int = BCRYPT_COST) -> str:
        """Hash a new password; ValueError for one that is longer than bcrypt looks at."""
        return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


class Argon2id:
    """``http.authentication.hashes.argon2id``."""

    def __init__(
        self, config: HashConfig | None = None, provision: Provision | None = None
    ) -> None:
        """It has no settings."""

    def is_of(self, hashed: str, password: bytes) -> bool:
        """Whether ``hashed`` is a hash of ``password``."""
        try:
            return verify_secret(hashed.encode(), password, Type.ID)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise ValueError(str(error)) from error

    def fake(self, like: str | None) -> str:
        """Return a hash of the same work."""
        parameters = f"m={ARGON2_MEMORY},t={ARGON2_TIME},p={ARGON2_THREADS}"
        if like:
            parameters = like.split("$")[3]
        return f"$argon2id$v=19${parameters}${'A' * 22}${'A' * 43}"

    @staticmethod
    def make(
        password: bytes,
        time: int = ARGON2_TIME,
        memory: int = ARGON2_MEMORY,
        threads: int = ARGON2_THREADS,
        length: int = ARGON2_BYTES,
    ) -> str:
        """Hash a new password; ValueError for parameters that argon2 cannot work with."""
        salt = secrets.token_bytes(SALT_BYTES)
        try:
            return hash_secret(password, salt, time, memory, threads, length, Type.ID).decode()
        except HashingError as error:
            raise ValueError(str(error)) from error
