"""What a parent and its worker say to each other: JSON messages with a length, over a socket pair.

The bus would not do: a worker must be told of a configuration and asked for its figures while the bus
is away, and the end of the channel is the end of the other process.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
MAX_MESSAGE = 64 * 1024 * 1024
"""A configuration, or the figures of a process: eight megabytes are the bus's bound for the first."""

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Return the bytes of one message."""
    data = json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


def receive_first(sock: socket.socket) -> Message:
    """Wait, blocking, for the first message of a channel; EOFError when there is none."""
    (size,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    message: Message = json.loads(_exactly(sock, size))
    return message


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError("the channel ended")
        data += more
    return data


class Channel:
    """One end, in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Channel:
        """Take over ``sock``."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer)

    def send(self, **message: Any) -> None:
        """Send a message; one to a process that is gone is lost, and ``receive`` tells it."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def receive(self) -> Message | None:
        """Return the next message, None when the other end is gone."""
        try:
            (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if size > MAX_MESSAGE:
                return None
            message: Message = json.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return None
        return message

    def close(self) -> None:
        """Close this end. Idempotent."""
        self._writer.close()
