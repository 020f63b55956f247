"""What upstreams do wrong, with real sockets: the client gets a clear answer, or a clear end."""

import asyncio
import socket
import ssl
import struct
import threading
import time

import pytest

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import read_all
from quantum.testing.certificates import make_certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def good(reader, writer):
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)


def answering(data, *, then="wait"):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        if then == "wait":
            await reader.read()
        elif then == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(0.05)
            writer.transport.abort()

    return serve


async def status_of(platform, *args, **kwargs):
    with pytest.raises(HttpError) as caught:
        await platform.ask(*args, **kwargs)
    return caught.value.status


async def test_nobody_listens(platform):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await platform.use(f"127.0.0.1:{port}")
    assert await status_of(platform) == 502


async def test_an_upstream_that_never_accepts_is_given_up_after_the_dial_timeout(platform):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
            fillers.append(filler)
        await platform.use(
            f"127.0.0.1:{deaf.getsockname()[1]}",
            transport={"protocol": "http", "dial_timeout": "200ms"},
        )
        began = time.monotonic()
        assert await status_of(platform) == 504
        assert time.monotonic() - began < 2.9  # it is 3 s by default
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000,
    ],
    ids=["closed", "garbage", "bare lf", "endless 1xx", "many fields", "endless field"],
)
async def test_no_usable_answer_is_502_in_good_time(platform, data):
    dial = await platform.upstream(answering(data, then="wait" if data else "close"))
    await platform.use(dial, transport={"protocol": "http", "max_response_header_size": 100_000})
    async with asyncio.timeout(5):
        assert await status_of(platform) == 502


async def test_a_stalled_upstream_is_504_within_its_timeout(platform):
    dial = await platform.upstream(answering(b"HTTP/1.1 200 OK\r\n"))
    await platform.use(dial, transport={"protocol": "http", "response_header_timeout": "100ms"})
    began = time.monotonic()
    assert await status_of(platform) == 504
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("then", ["reset", "close"])
async def test_a_body_that_breaks_off_is_never_a_clean_end(platform, then):
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 1000
    dial = await platform.upstream(answering(part, then=then))
    await platform.use(dial)
    response = await platform.ask()
    assert response.status == 200
    with pytest.raises(BodyAborted):
        await read_all(response.body, 10**6)


async def test_bytes_behind_an_answer_are_nobodys_next_answer(platform):
    dials = []

    async def smuggling(reader, writer):
        dials.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    await platform.use(await platform.upstream(smuggling))
    for _ in range(3):
        assert (await platform.ask()).body == b"hello"
        await asyncio.sleep(0.01)
    assert len(dials) == 3


async def test_an_upstream_that_closes_kept_connections_is_not_noticed(platform):
    async def closing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    await platform.use(await platform.upstream(closing))
    for _ in range(20):
        assert (await platform.ask()).body == b"hello"


async def test_an_upstream_on_a_unix_socket(platform, tmp_path):
    await platform.use(await platform.upstream(good, str(tmp_path / "up.sock")))
    assert (await platform.ask()).body == b"hello"


async def test_with_retries_no_client_sees_one_of_three_upstreams_die(platform):
    dials = [await platform.upstream(good) for _ in range(2)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{free.getsockname()[1]}"
    await platform.use(
        *dials,
        dead,
        load_balancing={"selection_policy": {"policy": "round_robin"}, "retries": 2},
        health_checks={"passive": {"fail_duration": "10s"}},
    )
    for _ in range(30):
        assert (await platform.ask()).status == 200
    row = next(row for row in platform.proxy.report() if row["address"] == dead)
    assert row["fails"] == 1


async def test_a_large_body_comes_through_whole_both_ways(platform):
    async def echoing(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while size:
            data = await reader.read(65536)
            size -= len(data)
            writer.write(data)
            await writer.drain()
        await reader.read()

    await platform.use(await platform.upstream(echoing))
    data = bytes(range(256)) * 40_000
    response = await platform.ask("POST", "/", data)
    assert await read_all(response.body, 2 * len(data)) == data


async def test_a_slow_client_does_not_fill_the_memory(platform):
    written = 0

    async def gushing(reader, writer):
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while written < 100_000_000:
            writer.write(b"x" * 100_000)
            written += 100_000
            await writer.drain()

    await platform.use(await platform.upstream(gushing))
    response = await platform.ask()
    await asyncio.sleep(0.3)
    assert written < 20_000_000  # what kernel buffers take, not what the proxy does
    assert response.body.buffered < 1_000_000
    await response.body.aclose()


class Upload:
    """A body whose second piece arrives at a peer that has answered and reset the connection unheard."""

    length = trailers = None

    def __init__(self, go_on, refusing):
        self.go_on = go_on
        self.refusing = refusing
        self.count = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.count += 1
        if self.count == 2:
            await asyncio.sleep(0.05)
            self.go_on.set()
            self.refusing.join()  # the loop stands still: it cannot read before it writes
        return b"x" * 1000

    async def aclose(self):
        pass


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_an_answer_is_heard_though_the_rest_of_the_request_cannot_be_written(
    platform, tmp_path, is_tls
):
    go_on = threading.Event()
    context, transport = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), None
    if is_tls:
        chain, key, root = make_certificates(tmp_path, ["127.0.0.1"])
        context.load_cert_chain(chain, key)
        transport = {"protocol": "http", "versions": ["1.1"]}
        transport["tls"] = {"ca": {"provider": "file", "pem_files": [str(root)]}}

    def refuse(listener):
        peer, _ = listener.accept()
        with context.wrap_socket(peer, server_side=True) if is_tls else peer as peer:
            peer.recv(65536)
            go_on.wait(10)
            peer.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nenough")
            linger = struct.pack("ii", 1, 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = threading.Thread(target=refuse, args=(listener,))
        refusing.start()
        await platform.use(f"127.0.0.1:{listener.getsockname()[1]}", transport=transport)
        response = await platform.ask("POST", body=Upload(go_on, refusing))
    assert response.status == 403
    assert await read_all(response.body, 100) == b"enough"
