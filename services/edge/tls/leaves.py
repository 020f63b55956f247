"""``tls.client_auth.verifier.leaf``: the certificates of clients themselves, from several places."""

from __future__ import annotations

from pathlib import Path

from quantum.modules.config import ModuleConfig
from quantum.net.client_tls import fingerprints_of
from quantum.trust.pools import TrustedPools

MAX_FOLDER_ENTRIES = 20_000
"""Entries of a folder that are looked at: a wrong path (``/``) must not hang a reload."""


def leaves_of(verifier: ModuleConfig, pools: TrustedPools) -> frozenset[str]:
    """Return the fingerprints that a verifier takes. OSError or ValueError: they cannot be read, or are none."""
    found: set[str] = set()
    for loader in verifier.config.leaf_certs_loaders:
        for pem in _texts(loader, pools):
            found |= fingerprints_of(pem)
    if not found:
        raise ValueError(f"{verifier.path}: there is no certificate in what its loaders name")
    return frozenset(found)


def _texts(loader: ModuleConfig, pools: TrustedPools) -> list[str]:
    config = loader.config
    match loader.spec.name:
        case "pem":
            return list(config.certificates)
        case "file":
            return [Path(name).read_text("ascii") for name in config.files]
        case "folder":
            return [text for name in config.folders for text in _folder(Path(name))]
    return [pools.fetched(loader)]


def _folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(folder))
    texts = []
    for count, file in enumerate(sorted(folder.rglob("*"))):
        if count >= MAX_FOLDER_ENTRIES:
            raise ValueError(f"{folder}: more than {MAX_FOLDER_ENTRIES} entries")
        if file.suffix == ".pem" and file.is_file():
            texts.append(file.read_text("ascii"))
    return texts
