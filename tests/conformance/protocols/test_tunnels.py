"""WebSockets' tunnels: opened in each version's own way, the same bytes inside."""

import asyncio
import contextlib

import pytest

from quantum.errors import BodyAborted
from tests.conformance.protocols.clients.api import Client, Cut
from tests.conformance.protocols.conftest import Stage, eventually


async def exactly(stream, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := await stream.read()):
        data += more
    return data


async def test_a_tunnel_carries_bytes_both_ways(client: Client, token: str) -> None:
    stream = await client.tunnel(f"/socket/{token}")
    for word in (b"hello", b"again" * 30_000):
        sending = asyncio.create_task(stream.write(word))
        assert await exactly(stream, len(word)) == word.upper()
        await sending
    stream.abort()


async def test_a_tunnel_whose_client_has_no_more_to_say_still_hears_the_rest(
    client: Client, protocol: str, token: str
) -> None:
    if protocol == "h1-tls":
        pytest.skip("the ssl module cannot close one direction of a TLS connection")
    stream = await client.tunnel(f"/socket/{token}")
    await stream.write(b"last")
    await stream.write_end()
    assert await exactly(stream, 7) == b"LASTbye"
    assert await stream.read() == b""


async def test_a_tunnel_that_its_client_cuts_is_cut_at_the_upstream(
    stage: Stage, client: Client, token: str
) -> None:
    stream = await client.tunnel(f"/socket/{token}")
    await stream.write(b"x")
    await stream.read()
    stream.abort()
    seen = stage.origin.seen[f"/socket/{token}"]
    await eventually(lambda: seen.is_cut or seen.sent > 1)


async def test_a_tunnel_whose_upstream_has_no_more_to_say_still_hears_the_rest(
    stage: Stage, client: Client, protocol: str, token: str
) -> None:
    if protocol == "h1-tls":
        pytest.skip("the ssl module cannot close one direction of a TLS connection")
    stream = await client.tunnel(f"/done_first/{token}")
    assert await exactly(stream, 3) == b"bye"
    assert await stream.read() == b""
    await stream.write(b"the rest")
    await stream.write_end()
    await eventually(lambda: stage.origin.seen[f"/done_first/{token}"].received == 8)


async def test_a_tunnel_that_its_upstream_cuts_is_cut_at_the_client(
    client: Client, token: str
) -> None:
    stream = await client.tunnel(f"/hung_up/{token}")
    await stream.write(b"x")
    with contextlib.suppress(Cut, BodyAborted, ConnectionError):
        async with asyncio.timeout(20):  # and not after what a half-closed tunnel may last
            assert await stream.read() == b""


async def test_a_tunnel_lives_through_a_reload(stage: Stage, client: Client, token: str) -> None:
    stream = await client.tunnel(f"/socket/{token}")
    await asyncio.to_thread(stage.reload)
    await stream.write(b"still")
    assert await exactly(stream, 5) == b"STILL"
    stream.abort()


async def test_a_plain_answer_to_an_upgrade_stays_one(client: Client, protocol: str) -> None:
    with pytest.raises((AssertionError, Cut)):
        await client.tunnel("/status/403")
