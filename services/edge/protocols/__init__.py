"""The versions of HTTP that the edge speaks; each turns bytes into Requests and Responses into bytes.

This file is the one place that knows which there are: what ALPN offers, and who answers to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quantum.http.message import ConnectionFacts
from services.edge.protocols.h1 import H1Connection
from services.edge.protocols.h2 import H2Connection
from services.edge.protocols.h2c import Undecided
from services.edge.protocols.host import Host

ALPN = {"h2": "h2", "h1": "http/1.1"}
"""The ALPN name of each version that is built for TCP, by its name in ``protocols``."""

UNDECIDED = "h1 or h2c"
"""Stands for a plain connection whose first bytes decide."""

_PREFERENCE = ("h2", "h1")


def alpn_for(protocols: Sequence[str]) -> tuple[str, ...]:
    """Return what to offer for the configured ``protocols``, the best first."""
    return tuple(ALPN[name] for name in _PREFERENCE if name in protocols and name in ALPN)


def make_protocol(alpn: str, host: Host, facts: ConnectionFacts) -> asyncio.Protocol:
    """Return the protocol for a connection that agreed on ``alpn`` ("" when nothing was agreed)."""
    if alpn == "h2":
        return H2Connection(host, facts)
    if alpn == UNDECIDED:
        return Undecided(host, facts)
    return H1Connection(host, facts)
