"""What the room hands its ACME servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage


@dataclass(frozen=True)
class AcmeSurroundings:
    """``find_authority`` returns the authority of an id as it is now, None where there is none."""

    storage: Storage
    find_authority: Callable[[str], Authority | None]
