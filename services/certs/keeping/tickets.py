"""The secrets that session tickets are sealed with: made here, rotated, given to every edge over the hop.

``tls.stek.standard`` keeps them in memory: a restart of the certs room begins anew. ``distributed`` keeps
them in the storage, for several certs rooms that share it, and over restarts.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from dataclasses import dataclass

from quantum.clock import Clock
from services.certs.config import SessionTicketsConfig
from services.certs.keeping.storage import Storage

SECRET_BYTES = 32
_PLACE = ("stek", "keys.json")


@dataclass(frozen=True)
class Secret:
    """One secret and when it was made (Unix seconds)."""

    made: float
    value: bytes


class TicketSecrets:
    """All secrets in force, the newest first. Methods may block on the disk and be called from any thread."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: list[Secret] = []
        self.config = SessionTicketsConfig()

    def current(self) -> tuple[list[bytes], float]:
        """Return the secrets, and the seconds until the next is due."""
        with self._lock:
            if not self.config.is_distributed:
                self._kept = self._rotated(self._kept)
            else:
                with self._storage.locked("stek"):
                    stored = self._read()
                    self._kept = self._rotated(stored)
                    if self._kept != stored:
                        self._write(self._kept)
            age = self._clock.now().timestamp() - self._kept[0].made
            left = max(self.config.rotation_interval - age, 0.0)
            return [kept.value for kept in self._kept], left

    def _rotated(self, kept: list[Secret]) -> list[Secret]:
        now = self._clock.now().timestamp()
        config = self.config
        is_due = kept and now - kept[0].made >= config.rotation_interval
        if not kept or (is_due and not config.disable_rotation):
            kept = [Secret(now, secrets.token_bytes(SECRET_BYTES)), *kept]
        return kept[: config.max_keys]

    def _read(self) -> list[Secret]:
        try:
            found = json.loads(self._storage.read(*_PLACE) or b"[]")
            return [Secret(float(s["made"]), base64.b64decode(s["value"])) for s in found]
        except (ValueError, KeyError, TypeError):  # not ours, or half gone: sessions begin anew
            return []

    def _write(self, kept: list[Secret]) -> None:
        found = [{"made": s.made, "value": base64.b64encode(s.value).decode()} for s in kept]
        self._storage.write(json.dumps(found).encode(), *_PLACE)
