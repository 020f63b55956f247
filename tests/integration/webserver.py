"""A web server of a test's own, one answer for each path: what a configuration asks elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, bytes]


class WebServer:
    """Answers GET and POST over HTTP/1.1; remembers what it was asked."""

    def __init__(self, answer: Callable[[str, dict[str, list[str]]], Answer]) -> None:
        """``answer(path, query)`` gives status and body."""
        self._answer = answer
        self.asked: list[str] = []
        """The targets of all requests."""
        self.bodies: list[bytes] = []
        self.gate: asyncio.Event | None = None
        """Set it to hold answers back until it is set."""

    async def __aenter__(self) -> WebServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split(" ")[1]
        length = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        self.bodies.append(await reader.readexactly(int(length[0].split(":")[1]) if length else 0))
        self.asked.append(target)
        if self.gate is not None:
            await self.gate.wait()
        place = urlsplit(target)
        status, body = self._answer(place.path, parse_qs(place.query))
        fields = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
        if 300 <= status < 400:
            fields += f"Location: {self.url}/yes\r\n"
        writer.write(fields.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()
