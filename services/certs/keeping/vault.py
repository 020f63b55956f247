"""Certificates that were obtained, on disk: ``certificates/<issuer>/<name>/<name>.{crt,key,json}``."""

from __future__ import annotations

import json

from services.certs.issuers.api import Issuer
from services.certs.keeping.storage import Storage, safe_name
from services.certs.material import Material, PrivateKey, read_key


class Vault:
    """Keeps material by name and issuer. Methods block on the disk."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def keep(self, name: str, material: Material) -> None:
        """Store material, the key first: a crash in between leaves a pair that ``find`` refuses."""
        folder, file = self._place(name, material.issuer)
        about = {"sans": list(material.subjects), "issuer": material.issuer}
        self._storage.write(material.key, *folder, f"{file}.key")
        self._storage.write(material.chain, *folder, f"{file}.crt")
        self._storage.write(json.dumps(about, indent="\t").encode(), *folder, f"{file}.json")

    def find(self, name: str, issuer: Issuer) -> Material | None:
        """Return what is stored for a name by an issuer, None when nothing usable is."""
        folder, file = self._place(name, issuer.key)
        chain = self._storage.read(*folder, f"{file}.crt")
        key = self._storage.read(*folder, f"{file}.key")
        if chain is None or key is None:
            return None
        try:
            material = Material.from_pem(chain, key, issuer.key)
        except ValueError:  # a torn write, see ``keep``: as good as nothing
            return None
        return material if material.covers(name) and issuer.recognises(material) else None

    def key_of(self, name: str, issuer: str) -> PrivateKey | None:
        """Return the key of the last certificate for a name, None when there is none that can be used."""
        folder, file = self._place(name, issuer)
        stored = self._storage.read(*folder, f"{file}.key")
        try:
            return read_key(stored) if stored is not None else None
        except ValueError:
            return None

    def names(self) -> list[str]:
        """Return the names that something is stored for, whoever issued it."""
        found: set[str] = set()
        for about in self._storage.root.glob("certificates/*/*/*.json"):
            try:
                content = json.loads(about.read_bytes())
                found.update(str(name) for name in content["sans"][:1])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # not ours, or half gone: nobody misses it
        return sorted(found)

    @staticmethod
    def _place(name: str, issuer: str) -> tuple[tuple[str, str, str], str]:
        file = safe_name(name)
        return ("certificates", safe_name(issuer), file), file
