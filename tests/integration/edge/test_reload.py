"""Reloads: what the new configuration still wants is not touched; what it cannot have changes nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from quantum.errors import ConfigError
from quantum.http.message import Request, Response
from services.catalog import parse
from tests.integration.edge.conftest import Edge, free_port

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def text(port: int, body: str, **server: Any) -> dict[str, Any]:
    routes = [{"handle": [{"handler": "static_response", "body": body}]}]
    return {"listen": [f"127.0.0.1:{port}"], "routes": routes, **server}


async def test_a_connection_survives_a_reload_and_meets_the_new_routes(edge: Edge) -> None:
    await edge.apply({"a": text(edge.port, "one")})
    client = await edge.connect()
    assert (await client.ask(GET))[1] == b"one"
    for body in ("two", "three"):
        await edge.apply({"renamed": text(edge.port, body)})
        assert (await client.ask(GET))[1] == body.encode()


async def test_an_address_that_is_gone_is_closed_and_its_requests_end(edge: Edge) -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> Response:
        await release.wait()
        return Response(200)

    await edge.serve(answer)
    busy, idle = await edge.connect(), await edge.connect()
    await busy.send(GET)
    await asyncio.sleep(0.05)
    await edge.apply({"b": text(free_port(), "elsewhere")})
    assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await edge.connect()
    release.set()
    head = await busy.head()
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in head


async def test_a_port_that_is_taken_refuses_the_revision_and_changes_nothing(edge: Edge) -> None:
    await edge.apply({"a": text(edge.port, "one")})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = free_port()
        servers = {"a": text(free, "two"), "b": text(taken.getsockname()[1], "three")}
        with pytest.raises(ConfigError) as caught:
            await edge.apply(servers)
    assert caught.value.path == "apps.http.servers.b.listen[0]"
    assert (await (await edge.connect()).ask(GET))[1] == b"one"
    with pytest.raises(ConnectionRefusedError):
        await edge.connect(port=free)


async def test_a_discarded_revision_leaves_no_socket(edge: Edge) -> None:
    port = free_port()
    revision = parse({"apps": {"http": {"servers": {"a": text(port, "one")}}}})
    prepared = await edge.service.prepare(revision)
    await prepared.discard()
    with pytest.raises(ConnectionRefusedError):
        await edge.connect(port=port)


async def test_one_address_cannot_belong_to_two_servers(edge: Edge) -> None:
    with pytest.raises(ConfigError, match="listened on twice"):
        await edge.apply({"a": text(edge.port, "one"), "b": text(edge.port, "two")})


async def test_reloads_under_load_fail_no_request(edge: Edge) -> None:
    await edge.apply({"a": text(edge.port, "one")})
    client = await edge.connect()
    stop = asyncio.Event()
    answers: list[bytes] = []

    async def load() -> None:
        while not stop.is_set():
            answers.append((await client.ask(GET))[1])

    task = asyncio.get_running_loop().create_task(load())
    for number in range(30):
        await edge.apply({"a": text(edge.port, ("one", "two")[number % 2])})
    stop.set()
    await task
    assert set(answers) <= {b"one", b"two"}
    assert len(answers) > 30


async def test_a_unix_socket_is_served_with_its_mode(edge: Edge) -> None:
    path = edge.context.data_dir / "edge.sock"
    route = [{"handle": [{"handler": "static_response", "body": "unix"}]}]
    await edge.apply({"a": {"listen": [f"unix/{path}|0600"], "routes": route}})
    assert path.stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(GET)
    assert (await asyncio.wait_for(reader.readuntil(b"unix"), 5)).endswith(b"unix")
    writer.transport.abort()


async def test_every_port_of_a_range_is_served(edge: Edge) -> None:
    port = free_pair()
    await edge.apply({"a": {**text(port, "range"), "listen": [f"127.0.0.1:{port}-{port + 1}"]}})
    for each in (port, port + 1):
        assert (await (await edge.connect(port=each)).ask(GET))[1] == b"range"


def free_pair() -> int:
    """A port that is free like the one behind it."""
    while True:
        port = free_port()
        with socket.socket() as second:
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


async def test_http_is_redirected_to_https(edge: Edge) -> None:
    route = {"match": [{"host": ["localhost"]}], "handle": [{"handler": "static_response"}]}
    await edge.apply(
        {"a": {"listen": [f":{edge.tls_port}"], "routes": [route]}},
        http_port=edge.port,
        https_port=edge.tls_port,
    )
    client = await edge.connect()
    head, _ = await client.ask(b"GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 308")
    assert b"\r\nLocation: https://localhost" in head
    assert b"/a?b\r\n" in head
    assert (await (await edge.connect(tls=edge.trust())).ask(GET))[0].startswith(b"HTTP/1.1 200")


async def test_a_stop_lets_requests_end_and_cuts_what_does_not(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.1 if request.path == "/quick" else 60)
        return Response(200)

    await edge.serve(answer)
    quick, slow = await edge.connect(), await edge.connect()
    await quick.send(b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
    await slow.send(GET)
    await asyncio.sleep(0.05)
    await edge.service.stop(0.5)
    assert (await quick.head()).startswith(b"HTTP/1.1 200")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await slow.head()
