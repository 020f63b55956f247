"""Certificates that somebody else made: from files, folders and the configuration itself.

Files are looked at every few seconds and read again when they changed, so that a renewal by another
program needs no reload. A change that cannot be used is logged and the last good pair stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import structlog

from quantum.errors import unusable
from services.certs.config import Automate, LoadFiles, LoadFolders, LoadPem, LoadStorage
from services.certs.keeping.storage import Storage
from services.certs.material import Material

LOADED = "loaded"
"""The issuer of certificates that were not obtained here."""

MAX_FOLDER_ENTRIES = 20_000
"""Entries of a certificate folder that are looked at: a wrong path (``/``) must not hang a reload."""

_PAIRS = {".crt": ".key", ".cer": ".key", ".pem": ".key"}

Stamp = tuple[tuple[str, int, int], ...]
"""What files looked like: path, modification time (ns), size."""


class Source(Protocol):
    """Where certificates are read from. Methods block on the disk."""

    path: str

    def stamp(self) -> Stamp:
        """Return something that differs after a change. OSError when it cannot be looked at."""

    def read(self) -> list[Material]:
        """Return what is there now. ValueError or OSError when it cannot be used."""


class _Pair:
    """A chain and a key in files (one file for both is fine)."""

    def __init__(self, certificate: Path, key: Path, path: str, tags: tuple[str, ...] = ()) -> None:
        self._files = certificate, key
        self._tags = tags
        self.path = path

    def stamp(self) -> Stamp:
        return tuple(_stamp_of(file) for file in self._files)

    def read(self) -> list[Material]:
        certificate, key = self._files
        try:
            return [
                Material.from_pem(certificate.read_bytes(), key.read_bytes(), LOADED, self._tags)
            ]
        except ValueError as error:
            raise ValueError(f"{certificate} with {key}: {error}") from error


class _Folder:
    """Every usable pair below a folder."""

    def __init__(self, folder: Path, path: str) -> None:
        self._folder = folder
        self.path = path

    def stamp(self) -> Stamp:
        return tuple(_stamp_of(file) for pair in self._pairs() for file in pair)

    def read(self) -> list[Material]:
        found = [m for pair in self._pairs() for m in _Pair(*pair, self.path).read()]
        if not found:
            raise ValueError(f"{self._folder}: no certificate with a key beside it")
        return found

    def _pairs(self) -> Iterator[tuple[Path, Path]]:
        if not self._folder.is_dir():
            raise FileNotFoundError(2, "there is no such folder", str(self._folder))
        for count, file in enumerate(sorted(self._folder.rglob("*"))):
            if count >= MAX_FOLDER_ENTRIES:
                raise ValueError(f"{self._folder}: more than {MAX_FOLDER_ENTRIES} entries")
            key = _key_beside(file)
            if key is not None:
                yield file, key


class _Inline:
    """A pair inside the configuration."""

    def __init__(self, certificate: str, key: str, path: str, tags: tuple[str, ...]) -> None:
        self._pair = certificate.encode(), key.encode()
        self._tags = tags
        self.path = path

    def stamp(self) -> Stamp:
        return ()

    def read(self) -> list[Material]:
        return [Material.from_pem(*self._pair, LOADED, self._tags)]


def file_sources(config: LoadFiles, path: str, storage: Storage) -> list[Source]:
    """``tls.certificates.load_files``."""
    return [
        _Pair(Path(item.certificate), Path(item.key), f"{path}[{index}]", tuple(item.tags))
        for index, item in enumerate(config.root)
    ]


def folder_sources(config: LoadFolders, path: str, storage: Storage) -> list[Source]:
    """``tls.certificates.load_folders``."""
    return [_Folder(Path(item), f"{path}[{index}]") for index, item in enumerate(config.root)]


def pem_sources(config: LoadPem, path: str, storage: Storage) -> list[Source]:
    """``tls.certificates.load_pem``."""
    return [
        _Inline(item.certificate, item.key.reveal(), f"{path}[{index}]", tuple(item.tags))
        for index, item in enumerate(config.root)
    ]


def storage_sources(config: LoadStorage, path: str, storage: Storage) -> list[Source]:
    """``tls.certificates.load_storage``."""
    return [
        _Pair(
            storage.place(item.certificate),
            storage.place(item.key),
            f"{path}.pairs[{index}]",
            tuple(item.tags),
        )
        for index, item in enumerate(config.pairs)
    ]


def no_sources(config: Automate, path: str, storage: Storage) -> list[Source]:
    """``tls.certificates.automate`` names certificates; it has none."""
    return []


class LoadedCertificates:
    """The certificates of some sources, as last read."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._stamps: list[Stamp | None] = [None] * len(sources)
        self._found: list[list[Material]] = [[] for _ in sources]

    def load(self) -> None:
        """Read everything for the first time; ConfigError names what cannot be used."""
        for index, source in enumerate(self._sources):
            try:
                self._stamps[index] = source.stamp()
                self._found[index] = source.read()
            except (ValueError, OSError) as error:
                raise unusable(source.path, error) from error

    def refresh(self, log: structlog.stdlib.BoundLogger) -> list[Material]:
        """Read again what changed; return it. What cannot be read is logged once and stays as it was."""
        changed: list[Material] = []
        for index, source in enumerate(self._sources):
            try:
                stamp = source.stamp()
                if stamp == self._stamps[index]:
                    continue
                self._stamps[index] = stamp
                self._found[index] = source.read()
            except (ValueError, OSError) as error:
                log.warning("certificate_file_refused", path=source.path, problem=str(error))
                continue
            changed.extend(self._found[index])
        return changed

    def all(self) -> list[Material]:
        """Return every certificate."""
        return [material for found in self._found for material in found]

    def find(self, name: str) -> Material | None:
        """Return the certificate that covers ``name`` and lasts longest, an exact one before a wildcard."""
        fitting = [m for m in self.all() if m.covers(name)]
        return max(fitting, key=lambda m: (name in m.subjects, m.not_after), default=None)


def _key_beside(file: Path) -> Path | None:
    """Return the key that belongs to a certificate file: beside it, or inside it."""
    suffix = _PAIRS.get(file.suffix.lower())
    if suffix is None or not file.is_file():
        return None
    if file.name == "fullchain.pem":  # certbot's names
        beside = file.with_name("privkey.pem")
    else:
        beside = file.with_suffix(suffix)
    if beside.is_file():
        return beside
    content = file.read_bytes()
    return file if b"PRIVATE KEY-----" in content and b"BEGIN CERTIFICATE" in content else None


def _stamp_of(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file), status.st_mtime_ns, status.st_size
