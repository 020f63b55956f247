"""The edge with an origin that waits, reads or answers, and what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quantum.http.message import Request, Response
from tests.integration.edge.conftest import Edge, making_edge
from tests.integration.edge.hostile.h2 import Peer

Dial = Callable[..., Awaitable[Peer]]


class Origin:
    """Counts what it is asked, and how much of it at a time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request: Request) -> Response:
        if request.path == "/wait":
            await asyncio.sleep(30)
        if request.path == "/read":
            body = request.body
            read = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
            self.bodies.append(read)
            return Response.text(200, str(len(read)))
        if request.path == "/large":
            return Response(200, body=b"x" * 1_000_000)
        return Response.text(200, "hello")


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
async def edge(tmp_path: Path, origin: Origin) -> AsyncIterator[Edge]:
    """HTTP/1.1 and HTTP/2 in clear on one port, all versions with TLS on the other."""
    async with making_edge(tmp_path) as made:
        await made.serve(origin.handle, protocols=["h1", "h2", "h2c", "h3"])
        yield made


@pytest.fixture
async def dial(edge: Edge) -> AsyncIterator[Dial]:
    """Open HTTP/2 connections that end with the test."""
    opened: list[Peer] = []

    async def connect(*first: tuple[int, int], port: int = 0, **options: Any) -> Peer:
        opening = asyncio.open_connection("127.0.0.1", port or edge.port, **options)
        peer = Peer(*await opening)
        opened.append(peer)
        await peer.greet(*first)
        return peer

    yield connect
    for peer in opened:
        peer.close()
