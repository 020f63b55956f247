"""Exchanges that do not come to their end: whoever cuts, the other side hears of it and nobody else."""

import asyncio
import contextlib

import pytest

from tests.conformance.protocols.clients.api import SECONDS, Client, Cut, Pieces
from tests.conformance.protocols.clients.h3 import H3Client
from tests.conformance.protocols.conftest import PROTOCOLS, Stage, eventually


async def still_serves(stage: Stage, protocol: str, client: Client) -> None:
    """The same connection goes on, where the version has that; a new one always does."""
    if not protocol.startswith("h1"):
        reply = await asyncio.wait_for(client.request("GET", "/bytes/3"), SECONDS)
        assert await reply.read() == b"\0\1\2"
    other = await stage.connect(protocol)
    reply = await asyncio.wait_for(other.request("GET", "/bytes/3"), SECONDS)
    assert await reply.read() == b"\0\1\2"
    await other.aclose()


async def whole(client: Client, path: str) -> bytes:
    reply = await asyncio.wait_for(client.request("GET", path), SECONDS)
    return await reply.read()


async def test_a_client_that_gives_up_before_the_head_frees_the_upstream(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    asked = asyncio.create_task(client.request("GET", f"/hang/{token}"))
    await eventually(lambda: stage.origin.seen[f"/hang/{token}"].heads)
    asked.cancel()
    await asyncio.wait([asked])
    await eventually(lambda: stage.origin.seen[f"/hang/{token}"].is_cut)
    await still_serves(stage, protocol, client)


async def test_a_client_that_gives_up_in_the_middle_of_a_body_frees_the_upstream(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    reply = await asyncio.wait_for(client.request("GET", f"/endless/{token}"), SECONDS)
    assert await reply.piece()
    await reply.cancel()
    await eventually(lambda: stage.origin.seen[f"/endless/{token}"].is_cut)
    await still_serves(stage, protocol, client)


async def test_a_client_that_gives_up_its_upload_frees_the_upstream(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    async def never_done():
        yield b"x" * 1000
        await asyncio.sleep(60)

    asked = asyncio.create_task(
        client.request("POST", f"/digest/{token}", body=Pieces(never_done()))
    )
    await eventually(lambda: stage.origin.seen[f"/digest/{token}"].received == 1000)
    asked.cancel()
    await asyncio.wait([asked])
    await eventually(lambda: stage.origin.seen[f"/digest/{token}"].is_cut)
    await still_serves(stage, protocol, client)


async def test_an_upstream_that_dies_before_its_head_is_502(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    reply = await asyncio.wait_for(client.request("POST", f"/cut/head/{token}", body=b"x"), SECONDS)
    assert reply.status == 502
    await reply.read()
    await still_serves(stage, protocol, client)


async def test_a_client_that_gives_up_while_both_directions_flow_frees_the_upstream(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    async def never_done():
        yield b"first"
        await asyncio.sleep(60)

    reply = await asyncio.wait_for(
        client.request("POST", f"/echo/{token}", body=Pieces(never_done())), SECONDS
    )
    assert await asyncio.wait_for(reply.piece(), SECONDS) == b"first"
    await reply.cancel()
    await eventually(lambda: stage.origin.seen[f"/echo/{token}"].is_cut)
    await still_serves(stage, protocol, client)


@pytest.mark.big  # its likes without a body are among the others, and each takes a second
async def test_a_client_that_gives_up_after_its_upload_frees_the_upstream(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    asked = asyncio.create_task(client.request("POST", f"/hang/{token}", body=b"all of it"))
    await eventually(lambda: stage.origin.seen[f"/hang/{token}"].heads)
    asked.cancel()
    await asyncio.wait([asked])
    await eventually(lambda: stage.origin.seen[f"/hang/{token}"].is_cut)
    await still_serves(stage, protocol, client)


@pytest.mark.parametrize("phase", ["half-head", "interim"])
async def test_an_upstream_that_dies_in_its_head_is_502(
    stage: Stage, protocol: str, client: Client, token: str, phase: str
) -> None:
    path = f"/cut/{phase}/{token}"
    reply = await asyncio.wait_for(client.request("POST", path, body=b"x"), SECONDS)
    assert reply.status == 502
    await reply.read()
    await still_serves(stage, protocol, client)


async def test_an_upstream_that_dies_in_an_upload_is_heard_before_its_end(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    async def never_done():
        yield b"x" * 1000
        await asyncio.sleep(60)

    path = f"/cut/upload/{token}"
    with contextlib.suppress(Cut):
        body = Pieces(never_done())
        reply = await asyncio.wait_for(client.request("POST", path, body=body), SECONDS)
        assert reply.status == 502
    await still_serves(stage, protocol, client)


@pytest.mark.parametrize("phase", ["length", "chunks", "empty", "trailers", "reset"])
async def test_an_upstream_that_dies_in_its_body_is_never_taken_for_done(
    stage: Stage, protocol: str, client: Client, token: str, phase: str
) -> None:
    with pytest.raises(Cut):
        await whole(client, f"/cut/{phase}/{token}")
    await still_serves(stage, protocol, client)


async def test_an_upstream_that_refuses_the_rest_of_an_upload_is_heard(
    stage: Stage, protocol: str, client: Client, token: str
) -> None:
    async def endless():
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    with contextlib.suppress(Cut):
        reply = await asyncio.wait_for(
            client.request("POST", f"/status/403/{token}", body=Pieces(endless())), SECONDS
        )
        assert reply.status == 403
    await still_serves(stage, protocol, client)


async def test_a_client_slower_than_its_route_allows_is_cut_off_and_so_is_the_upstream(
    stage: Stage,
) -> None:
    """``http.handlers.timeouts``, in every version at once: an upload is 408, an answer breaks off."""

    async def stalled():
        yield b"x" * 1000
        await asyncio.sleep(SECONDS)

    async def upload(protocol: str) -> int:
        client, path = await stage.connect(protocol), f"/digest/{next(stage.tokens)}"
        asked = client.request("POST", f"/hurried{path}", body=Pieces(stalled()))
        status = (await asyncio.wait_for(asked, SECONDS)).status
        await eventually(lambda: stage.origin.seen[path].is_cut)
        await client.aclose()
        return status

    async def download(protocol: str) -> None:
        client, path = await stage.connect(protocol), f"/endless/{next(stage.tokens)}"
        if isinstance(client, H3Client):
            client.is_holding = True
        await asyncio.wait_for(client.request("GET", f"/hurried{path}"), SECONDS)
        await eventually(lambda: stage.origin.seen[path].is_cut)
        await client.aclose()

    told = await asyncio.gather(*map(upload, PROTOCOLS), *map(download, PROTOCOLS))
    assert told[: len(PROTOCOLS)] == [408] * len(PROTOCOLS)
