"""WebSocket tunnels: our own key, a verified answer, bytes both ways, proper ends."""

import asyncio

import pytest

from quantum.errors import BodyAborted, HttpError
from quantum.testing.clock import settle
from services.proxy.transports import tunnels
from services.proxy.transports.upgrade import accept_of


class Client:
    """The client's side of an upgraded connection."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.received = b""
        self.is_ended = False
        self.is_aborted = False

    async def read(self) -> bytes:
        data = await self.incoming.get()
        if data == b"!":
            raise BodyAborted("client reset")
        return data

    async def write(self, data: bytes) -> None:
        self.received += data

    async def write_end(self) -> None:
        self.is_ended = True

    def abort(self) -> None:
        self.is_aborted = True
        self.incoming.put_nowait(b"!")


def key_in(sent: bytes) -> bytes:
    return sent.partition(b"Sec-Websocket-Key: ")[2].partition(b"\r\n")[0]


def switching(accept: bytes, more: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n" + more
    )


@pytest.fixture
async def opened(bench, ask):
    await bench.use()
    task = await bench.start(ask("GET", "/ws", b"", upgrade="websocket"))
    wire = bench.wires[0]
    sent = wire.sent()
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in sent
    await wire.answer(switching(accept_of(key_in(sent)), b"first"))
    response = await task
    client = Client()
    tunnel = asyncio.get_running_loop().create_task(response.upgrade(client))
    await settle()
    yield bench, wire, client, tunnel, response
    tunnel.cancel()
    await asyncio.gather(tunnel, return_exceptions=True)


def test_the_accept_value_is_that_of_the_rfc():
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_bytes_go_both_ways_from_the_first_one(opened):
    _, wire, client, _, response = opened
    assert response.status == 101
    assert response.headers.fields == [
        (b"sec-websocket-protocol", b"chat"),
        (b"via", b"1.1 Quantum"),
    ]
    assert client.received == b"first"
    client.incoming.put_nowait(b"up")
    await settle()
    assert wire.sent() == b"up"
    await wire.answer(b"down")
    assert client.received == b"firstdown"


async def test_a_tunnel_counts_as_a_request_under_way_until_its_end(opened):
    bench, wire, client, tunnel, _ = opened
    assert bench.service.report()[0]["num_requests"] == 1
    client.incoming.put_nowait(b"")
    await settle()
    assert wire.ended
    assert not tunnel.done()
    await wire.end()
    await tunnel
    await settle()
    assert client.is_ended
    assert not client.is_aborted
    assert bench.service.report()[0]["num_requests"] == 0


async def test_a_client_that_breaks_off_cuts_the_upstream(opened):
    _, wire, client, tunnel, _ = opened
    client.incoming.put_nowait(b"!")
    await tunnel
    assert wire.is_closed


async def test_an_upstream_that_breaks_off_cuts_the_client(opened):
    _, wire, client, tunnel, _ = opened
    await wire.reset()
    await tunnel
    assert client.is_aborted


async def test_a_wrong_accept_value_is_no_websocket(bench, ask):
    await bench.use()
    task = await bench.start(ask("GET", "/ws", b"", upgrade="websocket"))
    await bench.wires[0].answer(switching(b"bm9wZQ=="))
    with pytest.raises(HttpError, match="Sec-WebSocket-Accept"):
        await task
    assert bench.wires[0].is_closed


async def test_a_plain_answer_to_an_upgrade_is_a_plain_answer(bench, ask):
    await bench.use()
    task = await bench.start(ask("GET", "/ws", b"", upgrade="websocket"))
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
    response = await task
    assert (response.status, response.body, response.upgrade) == (200, b"no", None)
    await bench.start(ask())
    assert len(bench.wires) == 1


async def test_a_reload_that_changes_the_handler_tells_both_ends_and_cuts_them_then(
    opened, monkeypatch
):
    monkeypatch.setattr(tunnels, "GOODBYE_SECONDS", 0.05)
    bench, wire, client, tunnel, _ = opened
    await bench.use("r2", upstreams=[{"dial": "other:80"}])
    await asyncio.sleep(0.01)
    assert client.received == b"first" + tunnels.GOING_AWAY
    assert wire.sent() == tunnels.GOING_AWAY_MASKED
    assert not wire.is_closed
    await asyncio.sleep(0.06)
    await settle()
    assert wire.is_closed
    await tunnel


async def test_ends_that_close_themselves_after_the_goodbye_close_properly(opened):
    bench, wire, client, tunnel, _ = opened
    await bench.use("r2", upstreams=[{"dial": "other:80"}])
    await asyncio.sleep(0.01)
    client.incoming.put_nowait(b"")
    await wire.end()
    await tunnel
    assert client.is_ended
    assert not client.is_aborted


async def test_a_reload_that_keeps_the_handler_keeps_its_tunnels(opened):
    bench, wire, client, tunnel, _ = opened
    await bench.use("r2")
    await asyncio.sleep(0.01)
    assert (client.received, wire.sent(), tunnel.done()) == (b"first", b"", False)


async def test_tunnels_of_other_protocols_are_cut_without_words(bench, ask):
    await bench.use()
    task = await bench.start(ask("GET", "/", b"", upgrade="echo"))
    wire = bench.wires[0]
    await wire.answer(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    client = Client()
    tunnel = asyncio.get_running_loop().create_task((await task).upgrade(client))
    await settle()
    wire.sent()
    await bench.use("r2", upstreams=[{"dial": "other:80"}])
    await asyncio.sleep(0.01)
    await tunnel
    assert (wire.sent(), client.received, client.is_aborted) == (b"", b"", True)


@pytest.mark.parametrize("field", ["stream_close_delay", "stream_timeout"])
async def test_tunnels_may_go_on_for_the_configured_time(bench, ask, field):
    await bench.use(**{field: "100ms"})
    task = await bench.start(ask("GET", "/", b"", upgrade="echo"))
    wire = bench.wires[0]
    await wire.answer(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    tunnel = asyncio.get_running_loop().create_task((await task).upgrade(Client()))
    await settle()
    if field == "stream_close_delay":
        await bench.use("r2", upstreams=[{"dial": "other:80"}])
    await asyncio.sleep(0.03)
    assert not wire.is_closed
    await asyncio.sleep(0.1)
    assert wire.is_closed
    await tunnel
