"""The one computation of WebSocket's opening handshake (RFC 6455 §4.2.2), the same for both sides."""

from __future__ import annotations

import base64
import hashlib

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def websocket_accept(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that proves a server read ``key``."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)
