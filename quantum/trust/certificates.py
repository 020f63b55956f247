"""Asking the certs room for a certificate with its key, over the hop: keys never travel on the bus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from quantum.errors import HttpError
from quantum.hop.neighbours import ask
from quantum.hop.resolve import Hop
from quantum.modules.selection import CertificateSelection


@dataclass(frozen=True)
class KeyPair:
    """A chain with its key; ``name`` is what it is kept under (perhaps a wildcard)."""

    name: str
    fingerprint: str
    chain: str
    key: str
    staple: str = ""
    """An OCSP response in base64, "" for none."""

    @property
    def pem(self) -> str:
        """Key and chain as one PEM file has them."""
        return self.key.strip() + "\n" + self.chain


@dataclass(frozen=True)
class SelectedPair:
    """One of the pairs that a selection means: whom it is for, until when (ISO 8601)."""

    fingerprint: str
    subjects: tuple[str, ...]
    not_after: str
    pem: str


async def ask_selected(hop: Hop, selection: CertificateSelection) -> list[SelectedPair]:
    """Return the pairs at hand that ``selection`` means; errors as ``ask_certificate``."""
    text = json.dumps(selection.model_dump(exclude_defaults=True))
    status, _, body = await ask(
        hop, "certs", "certificates", f"/certificates/selected/{quote(text, safe='')}"
    )
    if status != 200:
        raise HttpError(status, "certs refused")
    return [
        SelectedPair(
            str(found["fingerprint"]),
            tuple(map(str, found["subjects"])),
            str(found["not_after"]),
            str(found["key"]).strip() + "\n" + str(found["certificate"]),
        )
        for found in json.loads(body)
    ]


async def ask_certificate(hop: Hop, name: str, query: str = "") -> KeyPair | None:
    """Return the pair for ``name``, None while it is being obtained.

    HttpError: it cannot be had (404: no configuration names it). ValueError, KeyError: no answer of ours.
    """
    path = f"/certificates/{quote(name, safe='')}{query}"
    status, _, body = await ask(hop, "certs", "certificates", path)
    if status == 202:
        return None
    if status != 200:
        raise HttpError(status, "certs refused")
    found: dict[str, Any] = json.loads(body)
    return KeyPair(
        str(found["name"]),
        str(found["fingerprint"]),
        str(found["certificate"]),
        str(found["key"]),
        str(found.get("staple") or ""),
    )
