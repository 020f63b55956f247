"""HTTP/2 by the program's own client, on libnghttp2."""

from __future__ import annotations

import asyncio
import ssl

from quantum.connection.h2_client import H2Client as Connection
from quantum.connection.h2_client import RequestFailed
from quantum.http.body import AnyBody
from quantum.wire.h2 import H2Settings
from tests.conformance.protocols.clients.api import SECONDS, Cut, Fields, Pieces, Reply, Stream


class Whole:
    """A body that came with its head."""

    trailers = None

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        pass


class H2Client:
    """A Client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None) -> H2Client:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(H2Settings(), loop), "127.0.0.1", port,
            ssl=tls, server_hostname="localhost" if tls else None,
        )  # fmt: skip
        await asyncio.wait_for(connection.ready(), SECONDS)
        return cls(connection)

    def _head(self, method: str, path: str, fields: Fields) -> list[tuple[bytes, bytes]]:
        scheme = b"https" if self._connection.transport.get_extra_info("ssl_object") else b"http"
        return [
            (b":method", method.encode()), (b":scheme", scheme), (b":authority", b"localhost"),
            (b":path", path.encode()), *fields,
        ]  # fmt: skip

    async def request(
        self, method: str, path: str, fields: Fields = (), body: bytes | Pieces | None = None
    ) -> Reply:
        informational = []
        continued = asyncio.Event()

        def inform(received: Fields) -> None:
            status = int(dict(received)[b":status"])
            informational.append((status, [f for f in received if f[0] != b":status"]))
            continued.set()

        sent: AnyBody = body or b""  # type: ignore[assignment]
        if (b"expect", b"100-continue") in fields and body is not None:
            sent = Pieces(_after(continued, body))
        if isinstance(body, bytes):
            fields = [*fields, (b"content-length", b"%d" % len(body))]
        try:
            answer = await self._connection.request(
                self._head(method, path, fields), sent, on_informational=inform
            )
        except RequestFailed as error:
            raise Cut(str(error)) from error
        plain = [f for f in answer.fields if f[0] != b":status"]
        received = Whole(answer.body) if isinstance(answer.body, bytes) else answer.body
        return Reply(int(dict(answer.fields)[b":status"]), plain, received, informational)

    async def tunnel(self, path: str) -> Stream:
        head = [
            (b":method", b"CONNECT"), (b":protocol", b"websocket"), *self._head("", path, [])[1:],
            (b"sec-websocket-version", b"13"),
        ]  # fmt: skip
        answer, tunnel = await self._connection.connect(head)
        assert tunnel is not None, answer
        return tunnel

    async def aclose(self) -> None:
        self._connection.transport.abort()
        await asyncio.sleep(0)


async def _after(event: asyncio.Event, body: bytes | Pieces):
    await event.wait()
    if isinstance(body, bytes):
        yield body
        return
    async for piece in body:
        yield piece
