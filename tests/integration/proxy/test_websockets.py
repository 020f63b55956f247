"""Tunnels to a real WebSocket server."""

import asyncio

import pytest
from websockets.asyncio.server import serve

from quantum.http.message import ByteStream


class Pipe:
    """The two ends of a client's upgraded connection."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[bytes] = asyncio.Queue()
        self.down = bytearray()
        self.heard = asyncio.Event()
        self.is_ended = False

    async def read(self) -> bytes:
        return await self.up.get()

    async def write(self, data: bytes) -> None:
        self.down += data
        self.heard.set()

    async def write_end(self) -> None:
        self.is_ended = True

    def abort(self) -> None:
        self.up.put_nowait(b"")

    async def expect(self, count: int) -> bytes:
        while len(self.down) < count:
            self.heard.clear()
            await self.heard.wait()
        data = bytes(self.down[:count])
        del self.down[:count]
        return data


def text(payload: bytes) -> bytes:
    """Return a client's masked text frame (with a mask of zeros)."""
    return bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


@pytest.fixture
async def echo():
    async def handler(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, subprotocols=["chat"], compression=None) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_echo_server_answers_through_the_tunnel_and_closes_properly(platform, echo):
    await platform.use(echo)
    response = await platform.ask(
        path="/ws",
        upgrade="websocket",
        fields=[(b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"chat")],
    )
    assert response.status == 101
    assert response.headers.get(b"sec-websocket-protocol") == b"chat"
    pipe: ByteStream = Pipe()
    tunnel = asyncio.get_running_loop().create_task(response.upgrade(pipe))
    for word in (b"one", b"two"):
        pipe.up.put_nowait(text(word))
        assert await pipe.expect(5) == b"\x81\x03" + word
    pipe.up.put_nowait(b"\x88\x82\0\0\0\0\x03\xe8")
    assert await pipe.expect(4) == b"\x88\x02\x03\xe8"
    pipe.up.put_nowait(b"")
    async with asyncio.timeout(5):
        await tunnel
    assert pipe.is_ended
    await asyncio.sleep(0.05)
    assert platform.proxy.report()[0]["num_requests"] == 0


async def test_a_server_that_does_not_speak_websocket_answers_for_itself(platform):
    async def plain(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    await platform.use(await platform.upstream(plain))
    response = await platform.ask(path="/ws", upgrade="websocket")
    assert (response.status, response.body, response.upgrade) == (200, b"no", None)
