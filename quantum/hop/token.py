"""The secret that the processes of a deployment share: who has it may use the hop."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from quantum.bus.api import Bus, Conflict
from quantum.bus.subjects import SECRETS, ClusterSecret
from quantum.clock import Clock
from quantum.errors import BusUnavailable

if TYPE_CHECKING:
    import structlog

KEY = "hop"
TOKEN_BYTES = 32
"""256 bits: beyond guessing."""
RETRY_SECONDS = 1.0
_REMEDY = "start NATS, or give its address with --nats; waiting until it answers"


async def obtain_token(
    bus: Bus, copy: Path, clock: Clock, log: structlog.stdlib.BoundLogger
) -> str:
    """Return the deployment's token: from the bus, made there if this is the first process.

    While the bus is away the copy on disk (0600) serves. Without a copy either, wait for the bus:
    no process of the deployment would accept a token of our own.
    """
    is_told = False
    while True:
        try:
            token = await _shared_token(bus)
        except BusUnavailable as error:
            known = _read(copy)
            if known is not None:
                return known
            if not is_told:
                log.warning("hop_token_awaited", reason=str(error), remedy=_REMEDY)
                is_told = True
            await clock.sleep(RETRY_SECONDS)
        else:
            _write(copy, token)
            return token


async def _shared_token(bus: Bus) -> str:
    bucket = await bus.bucket(SECRETS)
    while True:
        entry = await bucket.get(KEY)
        if entry is not None and entry.value is not None:
            return entry.value.value
        fresh = secrets.token_urlsafe(TOKEN_BYTES)
        try:
            await bucket.create(KEY, ClusterSecret(value=fresh))
        except Conflict:
            continue  # another process was first
        return fresh


def _read(copy: Path) -> str | None:
    try:
        return copy.read_text().strip() or None
    except OSError:
        return None


def _write(copy: Path, token: str) -> None:
    if _read(copy) == token:
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    fresh = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    fresh.replace(copy)
