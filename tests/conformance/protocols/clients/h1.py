"""HTTP/1.1 by hand on asyncio's streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from base64 import b64encode

from quantum.http.headers import Headers
from tests.conformance.protocols.clients.api import SECONDS, Cut, Fields, Pieces, Reply
from tests.conformance.protocols.origin import accept


class Body:
    """The rest of an answer, framed as its head said."""

    def __init__(self, client: H1Client, fields: Fields, *, empty: bool) -> None:
        self.trailers: Headers | None = None
        self._client = client
        known = dict(fields)
        self._chunked = known.get(b"transfer-encoding") == b"chunked"
        length = known.get(b"content-length")
        self._left = 0 if empty else int(length) if length is not None else None
        self._ended = empty

    async def __anext__(self) -> bytes:
        reader = self._client.reader
        if self._ended:
            raise StopAsyncIteration
        if self._chunked:
            size = int(await reader.readline() or b"oops", 16)
            if size:
                data = await reader.readexactly(size)
                assert await reader.readexactly(2) == b"\r\n"
                return data
            self._ended = True
            await self._read_trailers()
            raise StopAsyncIteration
        if self._left == 0:
            raise StopAsyncIteration
        data = await reader.read(65536 if self._left is None else min(65536, self._left))
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise Cut("the body is shorter than its head said")
        if not data:
            raise StopAsyncIteration
        return data

    async def _read_trailers(self) -> None:
        found = []
        while (line := await self._client.reader.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            found.append((name.lower(), value.strip()))
        self.trailers = Headers(found) if found else None

    async def aclose(self) -> None:
        self._client.writer.transport.abort()


class H1Client:
    """A Client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._sender: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None) -> H1Client:
        name = "localhost" if tls else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    async def request(
        self, method: str, path: str, fields: Fields = (), body: bytes | Pieces | None = None
    ) -> Reply:
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost"]
        lines += [name + b": " + value for name, value in fields]
        if isinstance(body, bytes):
            lines.append(b"Content-Length: %d" % len(body))
        elif body is not None:
            lines.append(b"Transfer-Encoding: chunked")
        waits = (b"expect", b"100-continue") in fields
        self.writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        if body is not None and not waits:
            self._sender = asyncio.create_task(self._send(body))
        try:
            return await self._answer(method, body if waits else None)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut(repr(error)) from error
        except asyncio.CancelledError:
            self.writer.transport.abort()
            raise

    async def _answer(self, method: str, held: bytes | Pieces | None) -> Reply:
        informational = []
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *lines = head[:-4].split(b"\r\n")
            status = int(line.split(b" ")[1])
            fields = [(n.lower(), v.strip()) for n, _, v in (one.partition(b":") for one in lines)]
            if status >= 200 or status == 101:
                break
            informational.append((status, fields))
            if status == 100 and held is not None:
                self._sender = asyncio.create_task(self._send(held))
        empty = method == "HEAD" or status in (101, 204, 304)
        return Reply(status, fields, Body(self, fields, empty=empty), informational)

    async def _send(self, body: bytes | Pieces) -> None:
        with contextlib.suppress(ConnectionError):
            if isinstance(body, bytes):
                self.writer.write(body)
                await self.writer.drain()
                return
            async for piece in body:
                self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await self.writer.drain()
            trailers = b"".join(
                b"%b: %b\r\n" % field for field in (body.trailers.fields if body.trailers else ())
            )
            self.writer.write(b"0\r\n" + trailers + b"\r\n")
            await self.writer.drain()

    async def tunnel(self, path: str) -> Tunnel:
        key = b64encode(os.urandom(16))
        fields = [
            (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"),
            (b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", key),
        ]  # fmt: skip
        reply = await self.request("GET", path, fields)
        assert reply.status == 101
        assert reply.values(b"sec-websocket-accept") == [accept(key.decode()).encode()]
        return Tunnel(self)

    async def aclose(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        self.writer.transport.abort()


class Tunnel:
    """The connection after its switch."""

    def __init__(self, client: H1Client) -> None:
        self._client = client

    async def read(self) -> bytes:
        return await asyncio.wait_for(self._client.reader.read(65536), SECONDS)

    async def write(self, data: bytes) -> None:
        self._client.writer.write(data)
        await self._client.writer.drain()

    async def write_end(self) -> None:
        self._client.writer.write_eof()

    def abort(self) -> None:
        self._client.writer.transport.abort()
