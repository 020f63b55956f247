"""Clients that never stop and never get on: Caddy's timeouts and minimum rates, in every version.

Each test has one slow client per version, all at once, and says what becomes of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from quantum.http.message import Request, Response
from tests.integration.edge.conftest import Client, Edge, making_edge
from tests.integration.edge.hostile import h2, h3
from tests.integration.edge.hostile.conftest import Dial
from tests.integration.edge.hostile.test_floods import counted

STEP = 0.1
PATIENCE = 20.0
ALL = ["h1", "h2", "h2c", "h3"]


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    """An edge that each test makes serve first, so that its looks are as frequent as its bounds ask."""
    async with making_edge(tmp_path) as made:
        yield made


class Endless:
    """A body that goes on for ever."""

    length = trailers = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        return b"x" * 65536

    async def aclose(self) -> None: ...


async def answer(request: Request) -> Response:
    if request.path == "/endless":
        return Response(200, body=Endless())
    if request.path == "/read" and not isinstance(request.body, bytes):
        return Response.text(200, str(sum([len(piece) async for piece in request.body])))
    return Response.text(200, "hello")


def path(pseudo, value: bytes):
    return [*pseudo[:3], (b":path", value)]


async def drip(send: Callable[[], object]) -> None:
    """Send a little, again and again, until the connection is gone."""
    with suppress(ConnectionError):
        while True:
            send()
            await asyncio.sleep(STEP)


async def beside(dripping: Awaitable[None], result: Awaitable[object]) -> object:
    """Go on dripping until there is a result."""
    task = asyncio.ensure_future(dripping)
    try:
        return await asyncio.wait_for(result, PATIENCE)
    finally:
        task.cancel()


async def upload_h1(edge: Edge) -> int:
    client = await edge.connect()
    await client.send(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
    head = await beside(drip(lambda: client.writer.write(b"x" * 20)), client.head())
    return int(head.split()[1])


async def upload_h2(dial: Dial) -> int | None:
    peer = await dial()
    peer.send(h2.headers(1, path(h2.POST, b"/read"), h2.END_HEADERS))
    dripping = drip(lambda: peer.send(h2.data(1, b"x" * 20)))
    await beside(dripping, peer.until(lambda f: f.kind == h2.HEADERS, PATIENCE))
    return peer.status(1)


async def upload_h3(edge: Edge) -> int | None:
    async with h3.connected(edge.tls_port) as peer:
        peer.put(0, h3.headers(path(h3.POST, b"/read")))
        dripping = drip(lambda: peer.put(0, h3.frame(h3.DATA, b"x" * 20)))
        await beside(dripping, _until(lambda: peer.status(0) is not None))
        return peer.status(0)


async def _until(question: Callable[[], bool]) -> None:
    while not question():
        await asyncio.sleep(STEP / 2)


@pytest.mark.parametrize(
    ("limit", "bounds"),
    [
        ("read_rate", {"read_idle_timeout": "1s", "read_min_rate": 100_000}),
        ("read_timeout", {"read_timeout": "1s"}),
    ],
)
async def test_an_upload_that_only_drips_is_408(edge: Edge, dial: Dial, limit, bounds) -> None:
    await edge.serve(answer, protocols=ALL, **bounds)
    async with asyncio.timeout(PATIENCE):
        told = await asyncio.gather(upload_h1(edge), upload_h2(dial), upload_h3(edge))
    assert told == [408, 408, 408]
    assert counted(edge) == {limit: 3}


async def test_a_route_may_be_less_patient_than_its_server(edge: Edge, dial: Dial) -> None:
    second = 1_000_000_000
    timeouts = {
        "handler": "timeouts",
        "read_timeout": second, "read_min_rate": 100_000,
        "write_timeout": second, "write_min_rate": 1_000_000_000,
    }  # fmt: skip
    await edge.serve(answer, [timeouts], protocols=ALL)
    async with asyncio.timeout(PATIENCE):
        told = await asyncio.gather(upload_h1(edge), upload_h2(dial), upload_h3(edge))
        _, *codes = await asyncio.gather(download_h1(edge), download_h2(dial), download_h3(edge))
    assert told == [408, 408, 408]
    assert codes == [h2.CANCEL, h3.REQUEST_CANCELLED]
    assert counted(edge) == {"read_rate": 3, "write_rate": 3}


async def test_a_route_may_be_more_patient_than_its_server(edge: Edge, dial: Dial) -> None:
    timeouts = {"handler": "timeouts", "read_timeout": -1}
    await edge.serve(answer, [timeouts], protocols=ALL, read_idle_timeout="500ms")
    peer = await dial()
    peer.send(h2.headers(1, path(h2.POST, b"/read"), h2.END_HEADERS), h2.data(1, b"x"))
    reading = asyncio.ensure_future(peer.until(lambda f: f.kind == h2.DATA))
    await asyncio.wait([reading], timeout=2.5)  # five times what the server allows
    assert not reading.done()
    peer.send(h2.data(1, b"", h2.END_STREAM))
    await reading
    assert peer.body(1) == b"1"
    assert counted(edge) == {}


async def test_an_upload_that_keeps_the_rate_is_taken(edge: Edge, dial: Dial) -> None:
    await edge.serve(answer, protocols=ALL, read_idle_timeout="1s", read_min_rate=50)
    peer = await dial()
    peer.send(h2.headers(1, path(h2.POST, b"/read"), h2.END_HEADERS))
    for _ in range(25):
        peer.send(h2.data(1, b"x" * 100))
        await asyncio.sleep(STEP)
    peer.send(h2.data(1, b"", h2.END_STREAM))
    await peer.until(lambda f: f.kind == h2.DATA)
    assert peer.body(1) == b"2500"
    assert counted(edge) == {}


async def download_h1(edge: Edge) -> None:
    """Take a little at a time, until it is cut."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", edge.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=8192)
    writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    with suppress(ConnectionError):
        while await reader.read(8192):
            await asyncio.sleep(STEP / 4)
    writer.close()


async def download_h2(dial: Dial) -> int:
    """Open the window a little at a time, until the stream is reset; return the code."""
    peer = await dial()
    peer.send(h2.headers(1, path(h2.GET, b"/endless")))

    def more() -> None:
        peer.send(h2.window_update(0, 1000), h2.window_update(1, 1000))

    reset = await beside(drip(more), peer.until(lambda f: f.kind == h2.RST_STREAM, PATIENCE))
    peer.send(h2.window_update(0, 60_000), h2.headers(3))
    await peer.until(lambda f: f.stream == 3 and f.flags & h2.END_STREAM)
    assert peer.status(3) == 200  # the connection goes on
    return reset.code


async def download_h3(edge: Edge) -> int:
    """The same."""
    async with h3.connected(edge.tls_port, max_stream_data=65536) as peer:
        connection = peer._quic
        write = connection._write_stream_limits

        def hold(builder, space, stream) -> None:
            stream.receiver.highest_offset, kept = 0, stream.receiver.highest_offset
            write(builder, space, stream)  # only what ``more`` has raised
            stream.receiver.highest_offset = kept

        connection._write_stream_limits = hold
        peer.put(0, h3.headers(path(h3.GET, b"/endless")), end=True)

        def more() -> None:
            stream = connection._streams.get(0)
            if stream is not None:
                stream.max_stream_data_local += 1000
                peer.transmit()

        await beside(drip(more), _until(lambda: 0 in peer.resets))
        return peer.resets[0]


async def test_a_download_that_is_taken_in_sips_is_cut(edge: Edge, dial: Dial) -> None:
    rate = 1_000_000_000
    await edge.serve(answer, protocols=ALL, write_idle_timeout="2s", write_min_rate=rate)
    async with asyncio.timeout(PATIENCE):
        _, *codes = await asyncio.gather(download_h1(edge), download_h2(dial), download_h3(edge))
    assert codes == [h2.CANCEL, h3.REQUEST_CANCELLED]
    assert counted(edge) == {"write_rate": 3}


async def test_an_answer_may_take_no_longer_than_the_write_timeout(edge: Edge, dial: Dial) -> None:
    await edge.serve(answer, protocols=ALL, write_timeout="1s")
    async with asyncio.timeout(PATIENCE):
        _, *codes = await asyncio.gather(download_h1(edge), download_h2(dial), download_h3(edge))
    assert codes == [h2.CANCEL, h3.REQUEST_CANCELLED]
    assert counted(edge) == {"write_timeout": 3}


async def test_an_answer_without_a_length_that_is_cut_never_ends_properly(edge: Edge) -> None:
    await edge.serve(answer, write_timeout="500ms")
    client = await edge.connect()
    await client.send(b"GET /endless HTTP/1.0\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(_swallow(client), PATIENCE)


async def _swallow(client: Client) -> None:
    while await client.reader.read(1 << 20):
        pass


async def test_a_stream_that_nobody_takes_is_reset_and_its_neighbours_go_on(
    edge: Edge, dial: Dial
) -> None:
    await edge.serve(answer, protocols=ALL, write_idle_timeout="1s")
    peer = await dial((h2.INITIAL_WINDOW, 100))
    peer.send(h2.headers(1, path(h2.GET, b"/endless")))
    stream = 3
    asked = asyncio.create_task(peer.until(lambda f: f.kind == h2.RST_STREAM, PATIENCE))
    while not asked.done():
        peer.send(h2.headers(stream))
        stream += 2
        await asyncio.sleep(STEP)
    reset = await asked
    assert (reset.stream, reset.code) == (1, h2.CANCEL)
    assert peer.status(3) == 200
    assert counted(edge) == {"write_idle": 1}


async def test_a_body_that_nobody_wanted_may_not_stop_coming_either(edge: Edge) -> None:
    await edge.serve(answer, read_idle_timeout="500ms")
    client: Client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome")
    assert (await client.head()).startswith(b"HTTP/1.1 200")
    await client.exactly(5)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""
    assert counted(edge) == {"read_idle": 1}
