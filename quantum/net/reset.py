"""Ending a connection so that nobody takes it for a proper end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)
"""struct linger: on, zero seconds."""


def reset(transport: asyncio.BaseTransport) -> None:
    """Abort ``transport``; over TCP the peer sees a reset.

    An abort alone is a close: the kernel would go on sending what it holds, megabytes to a client that
    takes its time, and then say goodbye in a way that ends a body without a length properly. MUST NOT be
    called once the connection was lost: its descriptor may be another's by then.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()  # type: ignore[attr-defined]  # uvloop's transports are no asyncio.Transport
