"""Asking an upstream for another protocol: WebSocket (RFC 6455) and whatever else is upgraded to.

The client's key never travels: the codec that speaks to the client has answered it. Towards the
upstream this file makes its own key and verifies the answer, so that nothing but a real WebSocket
server gets raw bytes of a client.
"""

from __future__ import annotations

import base64
import hashlib
import secrets

from quantum.http.headers import Field
from quantum.http.message import Response
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import Stage, UpstreamFailed
from services.proxy.transports.tunnels import Tunnels

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 §1.3."""
_CODEC_FIELDS = (b"connection", b"upgrade", b"sec-websocket-accept")
"""What the client's codec writes itself, in its version's words."""


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that proves the peer read ``key``."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


class Wish:
    """A request's wish to speak ``protocol``: what to send for it, and whether it was granted."""

    __slots__ = ("_key", "protocol", "tunnels")

    def __init__(self, protocol: str, tunnels: Tunnels) -> None:
        self.protocol = protocol
        self._key = base64.b64encode(secrets.token_bytes(16))
        self.tunnels = tunnels

    @property
    def fields(self) -> list[Field]:
        """The fields that ask an HTTP/1.1 peer to switch."""
        fields = [(b"connection", b"Upgrade"), (b"upgrade", self.protocol.encode("latin-1"))]
        if self.protocol == "websocket":
            fields.append((b"sec-websocket-key", self._key))
        return fields

    def grant(self, response: Response, connection: Connection) -> None:
        """Make a verified 101 carry the tunnel; UpstreamFailed when it is not what was asked for."""
        headers = response.headers
        switched = headers.get(b"upgrade") or b""
        if switched.lower() != self.protocol.lower().encode("latin-1"):
            raise UpstreamFailed(Stage.SENT, f"upstream switched to {switched[:40]!r}")
        accept = headers.get(b"sec-websocket-accept")
        if self.protocol == "websocket" and accept != accept_of(self._key):
            raise UpstreamFailed(Stage.SENT, "upstream's Sec-WebSocket-Accept is wrong")
        for name in _CODEC_FIELDS:
            headers.remove(name)
        response.upgrade = self.tunnels.open(connection, self.protocol).run
