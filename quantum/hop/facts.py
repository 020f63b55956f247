"""The facts of a client's connection as they travel: spelled once, understood once per connection."""

from __future__ import annotations

import json
from typing import Any

from quantum.http.message import ConnectionFacts, TlsFacts

_MAX_FACTS = 4096
"""Connections whose facts a far process remembers; beyond, it starts over (some 2 MiB)."""


def encode_facts(facts: ConnectionFacts) -> bytes:
    """Return a connection's facts as JSON; made once per connection."""
    record: dict[str, Any] = {
        "peer": facts.peer, "local": facts.local, "scheme": facts.scheme, "server": facts.server,
    }  # fmt: skip
    if (tls := facts.tls) is not None:
        record["tls"] = {
            "version": tls.version, "cipher": tls.cipher, "server_name": tls.server_name,
            "protocol": tls.protocol, "resumed": tls.resumed,
            "client": tls.client_certificate.hex() if tls.client_certificate else "",
        }  # fmt: skip
    return json.dumps(record, separators=(",", ":")).encode()


def decode_facts(encoded: bytes) -> ConnectionFacts:
    """Return the facts; ValueError, KeyError or TypeError when they are none."""
    record = json.loads(encoded)
    tls = record.get("tls")
    return ConnectionFacts(
        (record["peer"][0], record["peer"][1]),
        (record["local"][0], record["local"][1]),
        record["scheme"],
        None if tls is None else TlsFacts(
            tls["version"], tls["cipher"], tls["server_name"], tls["protocol"],
            resumed=tls["resumed"], client_certificate=bytes.fromhex(tls["client"]) or None,
        ),
        record["server"],
    )  # fmt: skip


class FactsCache:
    """Facts by their spelling: requests of one client connection share one object here too."""

    def __init__(self) -> None:
        self._known: dict[bytes, ConnectionFacts] = {}

    def get(self, encoded: bytes) -> ConnectionFacts:
        """Return the facts, decoded at first sight."""
        facts = self._known.get(encoded)
        if facts is None:
            if len(self._known) >= _MAX_FACTS:
                self._known.clear()
            facts = self._known[encoded] = decode_facts(encoded)
        return facts
