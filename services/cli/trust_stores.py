"""The places where a machine keeps the roots it trusts: the system's store, and NSS for browsers.

A root is found again by its fingerprint, in the file's name and the nickname: only what ``quantum trust``
put there is ever removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND_SECONDS = 120.0
"""For one call of a store's own program: rebuilding bundles takes a few seconds."""
FINGERPRINT_DIGITS = 16


class TrustError(Exception):
    """A store could not be changed; the text says what to do."""


@dataclass(frozen=True)
class Root:
    """The certificate of an authority."""

    pem: str

    @classmethod
    def read(cls, pem: str) -> Root:
        """Take one root; TrustError when it is none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=pem)
        except ssl.SSLError:
            raise TrustError("there is no certificate in PEM in it") from None
        if len(context.get_ca_certs()) != 1 or context.cert_store_stats()["x509"] != 1:
            raise TrustError("that is not one certificate of an authority: only a root is trusted")
        return cls(pem)

    @property
    def name(self) -> str:
        """What it is called in stores."""
        der = ssl.PEM_cert_to_DER_cert(self.pem)
        return f"quantum_{hashlib.sha256(der).hexdigest()[:FINGERPRINT_DIGITS]}"


@dataclass(frozen=True)
class SystemStore:
    """A folder of roots, and the program that makes bundles of it."""

    folder: Path
    suffix: str
    command: tuple[str, ...]

    def file(self, root: Root) -> Path:
        """Return where a root is."""
        return self.folder / f"{root.name}{self.suffix}"

    def install(self, root: Root) -> bool:
        """Trust it; False when it was trusted already. TrustError when that cannot be done."""
        if self.file(root).exists():
            return False
        try:
            self.file(root).write_text(root.pem)
            self.file(root).chmod(0o644)
        except OSError as error:
            raise TrustError(f"{error.strerror}: {self.folder} (as root: sudo)") from error
        _run(self.command)
        return True

    def remove(self, root: Root) -> bool:
        """Trust it no more; False when it was not trusted."""
        try:
            self.file(root).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TrustError(f"{error.strerror}: {self.folder} (as root: sudo)") from error
        _run(self.command)
        return True


STORES = (
    SystemStore(
        Path("/usr/local/share/ca-certificates"), ".crt", ("update-ca-certificates", "--fresh")
    ),
    SystemStore(Path("/etc/pki/ca-trust/source/anchors"), ".pem", ("update-ca-trust", "extract")),
    SystemStore(
        Path("/etc/ca-certificates/trust-source/anchors"), ".crt", ("trust", "extract-compat")
    ),
    SystemStore(Path("/usr/share/pki/trust/anchors"), ".pem", ("update-ca-certificates",)),
)
"""Debian and its kin, Fedora and its kin, Arch, SUSE."""


def system_store() -> SystemStore | None:
    """Return the store of this system, None where it is not known."""
    for store in STORES:
        if store.folder.is_dir() and shutil.which(store.command[0]) is not None:
            return store
    return None


@dataclass(frozen=True)
class NssStore:
    """A database of Firefox or of Chromium on Linux, changed by ``certutil``."""

    folder: Path

    def install(self, root: Root) -> bool:
        """Trust it for servers; False when it was trusted already."""
        if self._has(root):
            return False
        command = ["certutil", "-A", "-d", f"sql:{self.folder}", "-t", "C,,", "-n", root.name]
        _run(command, root.pem.encode())
        return True

    def remove(self, root: Root) -> bool:
        """Trust it no more; False when it was not trusted."""
        if not self._has(root):
            return False
        _run(["certutil", "-D", "-d", f"sql:{self.folder}", "-n", root.name])
        return True

    def _has(self, root: Root) -> bool:
        command = ["certutil", "-L", "-d", f"sql:{self.folder}", "-n", root.name]
        try:
            _run(command)
        except TrustError:
            return False
        return True


def nss_stores(home: Path) -> Iterator[NssStore]:
    """Yield the databases of this user; none without ``certutil``."""
    if shutil.which("certutil") is None:
        return
    places = [home / ".pki" / "nssdb"]
    for profiles in (".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"):
        places += sorted((home / profiles).glob("*"))
    for place in places:
        if (place / "cert9.db").is_file():
            yield NssStore(place)


def _run(command: Sequence[str], given: bytes = b"") -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the stores' own programs, by name
            list(command), input=given, capture_output=True, timeout=COMMAND_SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrustError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise TrustError(f"{command[0]} failed: {said[-1] if said else done.returncode}")
