"""An edge room in this process, on ports of its own, with handlers made by the test."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quantum.hop.resolve import SERVICE_REVISION
from quantum.http.message import Request, Response
from quantum.testing.certificates import make_certificates
from quantum.testing.context import TestContext, make_context
from quantum.testing.topology import free_port
from services.catalog import parse
from services.edge.service import EdgeService

Answer = Callable[[Request], Awaitable[Response]]
SECONDS = 15.0


class Function:
    """A handler made of a coroutine function."""

    def __init__(self, answer: Answer) -> None:
        self.handle = answer


class Certs:
    """The certs room's answers, for the names of one certificate."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key, self.root = make_certificates(folder, ["localhost", "127.0.0.1"])
        self.asked: list[str] = []
        self.fingerprint = "ab" * 32
        self.tickets: list[bytes] = []

    async def handle(self, request: Request) -> Response:
        if request.path == "/session-tickets":
            keys = [base64.b64encode(key).decode() for key in self.tickets]
            content = {"keys": keys, "next": 60, "disabled": False}
            return Response(200 if keys else 404, None, json.dumps(content).encode())
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        if name not in {"localhost", "127.0.0.1"}:
            return Response(404)
        content = {
            "name": name,
            "certificate": self.chain.read_text(),
            "key": self.key.read_text(),
            "fingerprint": self.fingerprint,
        }
        return Response(200, None, json.dumps(content).encode())


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), SECONDS)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), SECONDS)

    async def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """Send; return head and body of an answer with a length."""
        await self.send(data)
        head = await self.head()
        return head, await self.exactly(length_of(head))

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


def length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Edge:
    """The room and what a test does with it."""

    def __init__(self, context: TestContext, service: EdgeService, certs: Certs) -> None:
        self.context = context
        self.service = service
        self.certs = certs
        self.port = free_port()
        self.tls_port = free_port()
        self._clients: list[Client] = []

    async def serve(
        self, answer: Answer | None = None, before: Sequence[dict[str, Any]] = (), **server: Any
    ) -> None:
        """Serve ``answer`` as the proxy's handler (a static text when None) on both ports, behind ``before``."""
        last = (
            {"handler": "static_response", "body": "hello"}
            if answer is None
            else {"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:9"}]}
        )
        handle = [*before, last]
        await self.apply(
            {
                "plain": {
                    "listen": [f"127.0.0.1:{self.port}"],
                    "routes": [{"handle": handle}],
                    "automatic_https": {"disable_redirects": True},
                    **server,
                },
                "secure": {
                    "listen": [f"127.0.0.1:{self.tls_port}"],
                    "routes": [{"handle": handle}],
                    "tls_connection_policies": [{}],
                    "automatic_https": {"disable_redirects": True},
                    **server,
                },
            },
            answer,
        )  # fmt: skip

    async def apply(
        self, servers: dict[str, Any], answer: Answer | None = None, **app: Any
    ) -> None:
        revision = parse({"apps": {"http": {"servers": servers, **app}}})
        if answer is not None:
            handlers = {m.path: Function(answer) for m in revision.handlers_of("proxy")}
            self.context.hop.table.install("proxy", revision.id, handlers)
        prepared = await self.service.prepare(revision)
        prepared.commit()
        await asyncio.sleep(0.01)

    async def connect(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> Client:
        port = port or (self.tls_port if tls else self.port)
        name = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname=name
        )
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    def trust(self) -> ssl.SSLContext:
        """A client context that trusts the test's root."""
        return ssl.create_default_context(cafile=str(self.certs.root))

    async def aclose(self) -> None:
        for client in self._clients:
            client.reset()
        await asyncio.wait_for(self.service.stop(0.2), SECONDS)


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    """The loop that the program runs on: transports differ between loops."""
    return {"uvloop": uvloop.new_event_loop}


@asynccontextmanager
async def making_edge(folder: Path) -> AsyncIterator[Edge]:
    """An edge that serves nothing yet."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    context = make_context("edge", folder, rooms=frozenset({"edge", "certs", "proxy"}))
    certs = Certs(folder)
    context.hop.table.install("certs", SERVICE_REVISION, {"certificates": certs})
    service = EdgeService(context)
    await service.start()
    made = Edge(context, service, certs)
    yield made
    await made.aclose()


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with making_edge(tmp_path) as made:
        yield made
