"""Identifiers: of this process, of requests, of anything that must be unique in a deployment."""

from __future__ import annotations

import itertools
import secrets

PROCESS_ID = secrets.token_hex(6)
"""Names this process in a deployment: in presence records, logs and locks. New at each start."""

_sequence = itertools.count(1)
_PREFIX = PROCESS_ID + "-"


def next_request_id() -> str:
    """Return an id that no other request of the deployment has; cheap enough for each request."""
    return f"{_PREFIX}{next(_sequence):x}"
