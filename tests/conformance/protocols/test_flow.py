"""Back-pressure by memory, large bodies in constant memory, and transfers that live through a drain."""

import asyncio
import hashlib
import signal
import time
from collections.abc import Callable

import pycurl
import pytest

from tests.conformance.protocols.clients.api import SECONDS, Client, Pieces
from tests.conformance.protocols.clients.h3 import H3Client
from tests.conformance.protocols.conftest import PROTOCOLS, Stage, eventually
from tests.conformance.protocols.origin import PIECE, expected

MIB = 1024 * 1024
GIB = 1024 * MIB
BOUND = 48 * MIB
"""How much the data plane may grow over a transfer, whatever its size: windows, buffers, and the
allocator's habits; far below the smallest transfer that is measured."""
KERNEL = 96 * MIB
"""What socket buffers between four processes may hold of a body that nobody reads: Linux lets each
direction of a connection grow to 36 MiB."""
_VERSIONS = {
    "h1": pycurl.CURL_HTTP_VERSION_1_1,
    "h1-tls": pycurl.CURL_HTTP_VERSION_1_1,
    "h2": pycurl.CURL_HTTP_VERSION_2_0,
    "h3": 31,  # CURL_HTTP_VERSION_3ONLY
}
pytestmark = pytest.mark.timeout(600)


def curl(stage: Stage, protocol: str, path: str) -> pycurl.Curl:
    """A handle of libcurl's, for transfers that a client in Python would take minutes for."""
    handle = pycurl.Curl()
    scheme, port = ("http", "plain") if protocol == "h1" else ("https", "secure")
    handle.setopt(pycurl.URL, f"{scheme}://localhost:{stage.ports[port]}{path}")
    handle.setopt(pycurl.RESOLVE, [f"localhost:{stage.ports[port]}:127.0.0.1"])
    handle.setopt(pycurl.HTTP_VERSION, _VERSIONS[protocol])
    handle.setopt(pycurl.CAINFO_BLOB, stage.root) if hasattr(pycurl, "CAINFO_BLOB") else None
    handle.setopt(pycurl.SSL_VERIFYPEER, 0)
    handle.setopt(pycurl.TIMEOUT, 500)
    return handle


def download(stage: Stage, protocol: str, size: int) -> str:
    digest = hashlib.sha256()
    handle = curl(stage, protocol, f"/bytes/{size}")
    handle.setopt(pycurl.WRITEFUNCTION, digest.update)
    handle.perform()
    assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
    return digest.hexdigest()


def upload(stage: Stage, protocol: str, size: int) -> str:
    left = [size]
    answer = []

    def read(most: int) -> bytes:
        data = PIECE[: min(most, left[0], len(PIECE))]
        left[0] -= len(data)
        return data

    handle = curl(stage, protocol, "/digest")
    handle.setopt(pycurl.UPLOAD, 1)
    handle.setopt(pycurl.INFILESIZE_LARGE, size)
    handle.setopt(pycurl.UPLOAD_BUFFERSIZE, len(PIECE))
    handle.setopt(pycurl.READFUNCTION, read)
    handle.setopt(pycurl.WRITEFUNCTION, answer.append)
    handle.perform()
    assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
    told = b"".join(answer).decode()
    assert f'"length": {size}' in told
    return told


SIZES = [64 * MIB, pytest.param(GIB, marks=pytest.mark.big)]


@pytest.mark.parametrize("size", SIZES)
def test_a_large_response_passes_in_constant_memory(stage: Stage, protocol: str, size: int) -> None:
    stage.forget_peak()
    before = stage.memory()
    assert download(stage, protocol, size) == expected(size)
    assert stage.peak() - before < BOUND


@pytest.mark.parametrize("size", SIZES)
def test_a_large_request_passes_in_constant_memory(stage: Stage, protocol: str, size: int) -> None:
    stage.forget_peak()
    before = stage.memory()
    upload(stage, protocol, size)
    assert stage.peak() - before < BOUND


async def at_rest(figure: Callable[[], int]) -> int:
    """Return a figure once it has stood still for half a second."""
    since, seen = 0, -1
    for _ in range(150):
        since, seen = (since + 1, seen) if figure() == seen else (0, figure())
        if since == 5:
            return seen
        await asyncio.sleep(0.1)
    raise AssertionError(f"still moving: {seen}")


async def test_a_client_that_does_not_read_stops_the_upstream(
    stage: Stage, client: Client, token: str
) -> None:
    stage.forget_peak()
    before = stage.memory()
    if isinstance(client, H3Client):
        client.is_holding = True
    reply = await asyncio.wait_for(client.request("GET", f"/endless/{token}"), SECONDS)
    seen = stage.origin.seen[f"/endless/{token}"]
    assert await at_rest(lambda: seen.sent) <= KERNEL
    assert stage.peak() - before < BOUND
    await reply.cancel()


async def test_an_upstream_that_does_not_read_stops_the_client(
    stage: Stage, client: Client, token: str
) -> None:
    is_enough = False
    body = Pieces(iter(lambda: b"" if is_enough else PIECE, b""))
    stage.forget_peak()
    before = stage.memory()
    asked = asyncio.create_task(client.request("POST", f"/deaf/{token}", body=body))
    await eventually(lambda: stage.origin.seen[f"/deaf/{token}"].heads)
    assert await at_rest(lambda: body.pulled) <= KERNEL
    is_enough = True
    stage.origin.hear(f"/deaf/{token}")
    reply = await asyncio.wait_for(asked, 60)
    assert b'"length": %d' % body.pulled in await reply.read()
    assert stage.peak() - before < BOUND


async def test_a_tunnel_whose_client_does_not_read_stops_the_upstream(
    stage: Stage, client: Client, token: str
) -> None:
    stage.forget_peak()
    before = stage.memory()
    if isinstance(client, H3Client):
        client.is_holding = True
    stream = await client.tunnel(f"/flood/{token}")
    seen = stage.origin.seen[f"/flood/{token}"]
    assert await at_rest(lambda: seen.sent) <= KERNEL
    assert stage.peak() - before < BOUND
    stream.abort()
    await eventually(lambda: seen.is_cut)


async def test_a_tunnel_whose_upstream_does_not_read_stops_the_client(
    stage: Stage, client: Client, token: str
) -> None:
    stage.forget_peak()
    before = stage.memory()
    stream, written, is_enough = await client.tunnel(f"/unheard/{token}"), 0, False

    async def write() -> None:
        nonlocal written
        while not is_enough:
            await stream.write(PIECE)
            written += len(PIECE)

    writing = asyncio.create_task(write())
    await eventually(lambda: written)
    assert await at_rest(lambda: written) <= KERNEL
    assert stage.peak() - before < BOUND
    is_enough = True
    stage.origin.hear(f"/unheard/{token}")
    await asyncio.wait_for(writing, 60)
    seen = stage.origin.seen[f"/unheard/{token}"]
    await eventually(lambda: seen.received == written)
    stream.abort()


async def test_an_upload_lives_through_a_reload(stage: Stage, client: Client, token: str) -> None:
    go_on = asyncio.Event()

    async def pieces():
        yield b"first"
        await go_on.wait()
        yield b"second"

    asked = asyncio.create_task(client.request("POST", f"/digest/{token}", body=Pieces(pieces())))
    await eventually(lambda: stage.origin.seen[f"/digest/{token}"].received == 5)
    await asyncio.to_thread(stage.reload)
    go_on.set()
    reply = await asyncio.wait_for(asked, SECONDS)
    assert b'"length": 11' in await reply.read()


async def test_a_transfer_lives_through_a_reload(stage: Stage, client: Client, token: str) -> None:
    reply = await asyncio.wait_for(client.request("GET", f"/paced/{MIB}/{token}"), SECONDS)
    first = await reply.piece()
    await asyncio.to_thread(stage.reload)
    assert hashlib.sha256(first + await reply.read()).hexdigest() == expected(MIB)
    again = await asyncio.wait_for(client.request("GET", "/bytes/1"), SECONDS)
    assert await again.read() == b"\0"  # the connection lived through it as well


async def test_transfers_live_through_a_stop(stage: Stage) -> None:
    clients = [await stage.connect(protocol) for protocol in PROTOCOLS]
    replies = [
        await asyncio.wait_for(one.request("GET", f"/paced/{MIB}/{next(stage.tokens)}"), SECONDS)
        for one in clients
    ]
    first = [await reply.piece() for reply in replies]
    starts = stage.deployment.starts("edge")
    stage.deployment.member("edge").signal(signal.SIGTERM)
    rest = await asyncio.gather(*(reply.read() for reply in replies))
    for begun, ended in zip(first, rest, strict=True):
        assert hashlib.sha256(begun + ended).hexdigest() == expected(MIB)
    for one in clients:
        await one.aclose()
    await eventually(lambda: stage.deployment.starts("edge") > starts)
    await asyncio.to_thread(stage.deployment.wait_ready)
    await _served_again(stage)


async def _served_again(stage: Stage) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            one = await stage.connect("h3")
            break
        except ConnectionError:
            assert time.monotonic() < deadline
    assert (await asyncio.wait_for(one.request("GET", "/bytes/1"), SECONDS)).status == 200
    await one.aclose()
