"""Clients that take their time: what they do not send, or do not take, holds nothing for ever."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from services.edge.protocols import h2 as h2_module
from tests.integration.edge.conftest import Edge, making_edge
from tests.integration.edge.hostile import h2, h3
from tests.integration.edge.hostile.conftest import Dial, Origin
from tests.integration.edge.hostile.test_floods import counted

READ = b"/read"


def upload(pseudo):
    return [*pseudo[:3], (b":path", READ), (b"content-length", b"9")]


@pytest.fixture
async def hurried(edge: Edge, origin: Origin) -> Edge:
    """An edge whose patience ends after a second."""
    await edge.serve(
        origin.handle,
        protocols=["h1", "h2", "h2c", "h3"],
        read_header_timeout="1s",
        read_idle_timeout="1s",
        write_idle_timeout="1s",
        idle_timeout="2s",
    )
    return edge


async def test_a_body_that_stops_coming_is_408_over_http_2(hurried: Edge, dial: Dial) -> None:
    peer = await dial()
    peer.send(h2.headers(1, upload(h2.POST), h2.END_HEADERS), h2.data(1, b"some"))
    began = time.monotonic()
    await peer.until(lambda f: f.kind == h2.HEADERS and f.stream == 1)
    assert peer.status(1) == 408
    assert 0.5 < time.monotonic() - began < 15
    peer.send(h2.headers(3))
    await peer.until(lambda f: f.stream == 3 and f.flags & h2.END_STREAM)
    assert peer.status(3) == 200  # the others of the connection go on
    assert counted(hurried) == {"read_idle": 1}


async def test_a_body_that_stops_coming_is_408_over_http_3(tmp_path, origin: Origin) -> None:
    async with making_edge(tmp_path) as edge:
        await edge.serve(origin.handle, read_idle_timeout="1s")
        await _stop_coming(edge)
        assert counted(edge) == {"read_idle": 1}


async def _stop_coming(edge: Edge) -> None:
    async with h3.connected(edge.tls_port) as peer:
        peer.put(0, h3.headers(upload(h3.POST)) + h3.frame(h3.DATA, b"some"))
        async with asyncio.timeout(14):
            while peer.status(0) is None:
                await asyncio.sleep(0.05)
        assert peer.status(0) == 408
        peer.put(4, h3.headers(), end=True)
        await peer.settle()
        assert peer.status(4) == 200


async def test_a_body_that_comes_slowly_is_read_to_its_end(
    hurried: Edge, dial: Dial, origin: Origin
) -> None:
    peer = await dial()
    peer.send(h2.headers(1, upload(h2.POST), h2.END_HEADERS))
    for _ in range(9):
        await asyncio.sleep(0.25)
        peer.send(h2.data(1, b"x"))
    peer.send(h2.data(1, b"", h2.END_STREAM))
    await peer.until(lambda f: f.kind == h2.HEADERS and f.stream == 1)
    assert (peer.status(1), origin.bodies) == (200, [b"x" * 9])


@pytest.mark.parametrize("first", [b"", h2.PREFACE[:10], h2.PREFACE + h2.settings()])
async def test_a_client_that_never_asks_is_gone_with_the_time_for_a_head(
    hurried: Edge, first
) -> None:
    client = await hurried.connect()
    await client.send(first)
    began = time.monotonic()
    await client.rest()
    assert time.monotonic() - began < 15


async def test_a_head_that_never_ends_is_gone_too(hurried: Edge, dial: Dial) -> None:
    peer = await dial()
    peer.send(h2.frame(h2.HEADERS, h2.END_STREAM, 1, h2.block(h2.GET)))
    began = time.monotonic()
    await peer.rest()
    assert peer.goaway == h2.ENHANCE_YOUR_CALM
    assert time.monotonic() - began < 15
    assert counted(hurried) == {"read_header": 1}


async def test_an_answer_that_nobody_takes_ends_the_connection_over_http_2(
    edge: Edge, dial: Dial, origin: Origin, monkeypatch
) -> None:
    monkeypatch.setattr(h2_module, "STALLED_SECONDS", 1.0)
    await edge.serve(origin.handle, protocols=["h1", "h2", "h2c"], read_header_timeout="1s")
    peer = await dial((h2.INITIAL_WINDOW, 0))
    peer.send(h2.headers(1))
    await peer.rest()
    assert peer.goaway == h2.ENHANCE_YOUR_CALM
    assert counted(edge) == {"h2_stalled": 1}


def deaf(port: int, request: bytes) -> socket.socket:
    """Ask, and read nothing: the kernel holds a few kilobytes for us."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.send(request)
    return sock


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
async def test_an_answer_that_nobody_takes_ends_the_connection_over_http_1(
    hurried: Edge, last
) -> None:
    request = b"GET /large HTTP/1.1\r\nHost: a\r\n" + last + b"\r\n"
    socks = [deaf(hurried.port, request * 4) for _ in range(3)]
    async with asyncio.timeout(8):
        await asyncio.sleep(0.3)
        while open_connections(hurried):
            await asyncio.sleep(0.1)
    for sock in socks:
        sock.close()


def open_connections(edge: Edge) -> float:
    return next(
        sample.value
        for metric in edge.context.metrics.collect()
        for sample in metric.samples
        if sample.name == "quantum_edge_connections_open"
    )
