"""Upstreams for the behaviour suite: they write down what they are asked and answer as they are told.

What an upstream does is its mode, or what a request's ``X-Do`` field says: ``status 503``, ``slow 0.3``,
``reset`` (after the request), ``slowchunks``, ``half`` (of the body, then the end), ``hang``, ``chunked``, ``trailers``,
``early`` (103 first), ``fields`` (many), ``upgrade`` (101 and echo), ``redirect``, ``untyped``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quantum.wire.h1.handshake import websocket_accept

HALF = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500
HALF_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
TRAILERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"
)
EARLY = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
)
FIELDS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: backend/1\r\nContent-Length: 2\r\nX-Two: a\r\nX-Two: b\r\nKeep-Alive: timeout=5\r\n"
    b"Connection: X-Gone\r\nX-Gone: 1\r\nProxy-Authenticate: Basic\r\nVia: 1.0 inner\r\nSet-Cookie: a=1\r\n"
    b'Set-Cookie: b=2\r\nAlt-Svc: h3=":1"\r\n\r\nok'
)
UPGRADE = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Up: 1\r\nSec-WebSocket-Accept: "


@dataclass(frozen=True)
class Seen:
    """One request as an upstream got it."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: str


@dataclass
class Backend:
    """One upstream of one program."""

    name: str
    mode: str = "ok"
    health: str = "status 200"
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    checks: list[Seen] = field(default_factory=list)

    @property
    def dial(self) -> str:
        """What a configuration calls it."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the connection ends."""
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # cancelled: the suite is over
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.partition(":")[::2] for line in head[1:] if line]
        fields = [(name, value.strip()) for name, value in pairs]
        named = {name.lower(): value for name, value in fields}
        body = await _body(reader, named)
        seen = Seen(head[0], tuple(sorted(fields, key=lambda f: f[0].lower())), body)
        if head[0].split(" ")[1].startswith("/health"):
            self.checks.append(seen)
            mode = self.health
            if mode.startswith("redirect") and head[0].split(" ")[1] != "/health":
                mode = "status 200"
            if mode == "alternate":
                mode = f"status {500 if len(self.checks) % 2 else 200}"
        else:
            self.seen.append(seen)
            mode = named.get("x-do") or self.mode
        if mode == "upgrade":
            await _echo(named["sec-websocket-key"], reader, writer)
            return False
        return await self._answer(mode, head[0].startswith("HEAD"), reader, writer)

    async def _answer(
        self, mode: str, is_head: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        kind, _, argument = mode.partition(" ")
        status, body, more = "200", self.name, ""
        fixed = {
            "half": HALF, "halfchunked": HALF_CHUNKED, "chunked": CHUNKED, "trailers": TRAILERS,
            "early": EARLY, "fields": FIELDS,
        }.get(kind)  # fmt: skip
        if kind == "hang":
            await reader.read()
            return False
        if kind == "reset":
            _reset(writer)
            return False
        if kind == "slowchunks":
            writer.write(CHUNKED[:-16])
            await asyncio.sleep(0.1)
            writer.write(CHUNKED[-16:])
            return True
        if kind == "slow":
            await asyncio.sleep(float(argument))
        elif kind == "status":
            status = argument
            body = "" if status in ("204", "304") else body
        elif kind == "say":
            body = argument
        elif kind == "redirect":
            status, more = "302", f"Location: {argument}\r\n"
        if kind != "untyped":
            more += "Content-Type: text/plain\r\n"
        text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Backend: {self.name}\r\n{more}\r\n"
        writer.write(fixed or (text + ("" if is_head else body)).encode())
        await writer.drain()
        if kind.startswith("half"):
            await asyncio.sleep(
                0.1
            )  # the head shall be with the client before the connection breaks
        return not kind.startswith("half")


async def _echo(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((UPGRADE + websocket_accept(key.encode()).decode() + "\r\n\r\n").encode())
    while data := await reader.read(1000):
        writer.write(b"<" + data + b">")


async def _body(reader: asyncio.StreamReader, named: dict[str, str]) -> str:
    if named.get("transfer-encoding") == "chunked":
        data = b""
        while size := int(await reader.readline(), 16):
            data += await reader.readexactly(size)
            await reader.readline()
        while (await reader.readline()).strip():
            pass
        return data.decode("latin-1")
    return (await reader.readexactly(int(named.get("content-length", "0")))).decode("latin-1")


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: Any = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Fleet:
    """All upstreams, in one thread with its own loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: dict[str, asyncio.Server] = {}
        self._reserved: list[socket.socket] = []

    def start(self, backend: Backend) -> Backend:
        """Let it listen; mode ``refuse``: bind a port without listening, so that nobody else gets it."""
        if backend.mode == "refuse":
            reserved = socket.socket()
            reserved.bind(("127.0.0.1", 0))
            backend.port = reserved.getsockname()[1]
            self._reserved.append(reserved)
            return backend

        async def listen() -> None:
            server = await asyncio.start_server(
                backend.serve, "127.0.0.1", backend.port, reuse_address=True, backlog=512
            )
            backend.port = server.sockets[0].getsockname()[1]
            self._servers[backend.dial] = server

        self.run(listen)
        return backend

    def run(self, work: Callable[[], Any]) -> None:
        """Run a coroutine function in the fleet's thread."""
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def close(self) -> None:
        """End everything."""

        async def end() -> None:
            for server in self._servers.values():
                server.close()
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.05)

        self.run(end)
        for reserved in self._reserved:
            reserved.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
