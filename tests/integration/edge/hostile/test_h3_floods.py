"""HTTP/3 clients that cost more than they ask: cut with H3_EXCESSIVE_LOAD, and counted."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from aioquic.quic.connection import QuicConnection

from services.edge.protocols.h3 import endpoint as endpoint_module
from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile.conftest import Origin
from tests.integration.edge.hostile.h3 import (
    CONTROL_STREAM,
    DATA,
    EXCESSIVE_LOAD,
    GET,
    GOAWAY,
    MAX_PUSH_ID,
    POST,
    SECONDS,
    SETTINGS,
    configuration,
    connected,
    frame,
    headers,
    number,
    text,
)  # fmt: skip
from tests.integration.edge.hostile.test_floods import counted

WAIT = [*GET[:3], (b":path", b"/wait")]
UPLOAD = [*POST[:3], (b":path", b"/wait")]
RESERVED = 0x1F * 7 + 0x21
CONTROL = number(CONTROL_STREAM) + frame(SETTINGS)
MOST = 2000
STREAMS = 100


async def until_closed(peer) -> None:
    async with asyncio.timeout(SECONDS):
        while peer.code is None:
            await asyncio.sleep(0.01)


WASTED = {
    "frames of an unknown type on control": (2, CONTROL, lambda n: frame(RESERVED)),
    "MAX_PUSH_ID": (2, CONTROL, lambda n: frame(MAX_PUSH_ID, number(n))),
    "GOAWAY": (2, CONTROL, lambda n: frame(GOAWAY, b"\0")),
    "empty DATA": (0, headers(UPLOAD), lambda n: frame(DATA)),
    "frames of an unknown type within a body": (0, headers(UPLOAD), lambda n: frame(RESERVED)),
}


@pytest.mark.parametrize(("stream", "first", "make"), WASTED.values(), ids=WASTED.keys())
async def test_frames_that_ask_for_nothing_end_the_connection(
    edge: Edge, stream, first, make
) -> None:
    async with connected(edge.tls_port) as peer:
        peer.put(stream, first)
        for start in range(0, MOST, 100):
            peer.put(stream, b"".join(map(make, range(start, start + 100))))
            await asyncio.sleep(0)
        await until_closed(peer)
    assert peer.code == EXCESSIVE_LOAD
    assert counted(edge) == {"h3_frames": 1}


@pytest.mark.parametrize("how", ["reset", "stop", "malformed"])
async def test_requests_that_are_cut_as_they_come_end_the_connection(
    edge: Edge, origin: Origin, how
) -> None:
    async with connected(edge.tls_port) as peer:
        for count in range(MOST):
            stream = 4 * count
            while peer.code is None and peer.most_streams <= count:
                await asyncio.sleep(0.001)
            if peer.code is not None:
                break
            bad = [(b"A", b"b")] if how == "malformed" else []
            peer.put(stream, headers([*WAIT, *bad]), end=how == "stop")
            if how == "reset":
                peer.reset(stream)
            elif how == "stop":
                peer.stop(stream)
            await asyncio.sleep(0.0005)
        await until_closed(peer)
    assert peer.code == EXCESSIVE_LOAD
    assert counted(edge) == {"h3_resets": 1}
    assert origin.most_at_once <= STREAMS
    assert len(origin.requests) <= 3 * STREAMS
    await asyncio.sleep(0.05)
    assert origin.at_once == 0


async def test_a_head_of_crumbs_is_431(edge: Edge) -> None:
    async with connected(edge.tls_port) as peer:
        peer.put(0, headers([*GET, *[(b"cookie", b"x")] * 150]), end=True)
        await peer.settle()
        assert (peer.status(0), peer.code) == (431, None)


async def test_a_small_head_that_unpacks_to_many_fields_is_431(edge: Edge, origin: Origin) -> None:
    crumbs = b"\xc5" * 20_000  # one byte each: "cookie" without a value, of the static table
    block = b"\0\0\xd1\xd7\xc1" + text(b"localhost", 7, 0).join([b"\x50", b""]) + crumbs
    async with connected(edge.tls_port) as peer:
        peer.put(0, frame(1, block), end=True)
        await peer.settle()
        assert peer.status(0) == 431
    assert not origin.requests


def initial(port: int) -> bytes:
    """The first datagram of a handshake."""
    quic = QuicConnection(configuration=configuration())
    quic.connect(("127.0.0.1", port), now=0.0)
    return quic.datagrams_to_send(now=0.0)[0][0]


async def test_many_unfinished_handshakes_make_newcomers_prove_their_address(
    edge: Edge, monkeypatch
) -> None:
    monkeypatch.setattr(endpoint_module, "HALF_OPEN_LIMIT", 20)
    sockets = []
    sent = received = retries = 0
    for _ in range(60):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(("127.0.0.1", edge.tls_port))
        sockets.append(sock)
        sent += sock.send(initial(edge.tls_port))
    await asyncio.sleep(1.5)  # long enough for what is sent again and again
    for sock in sockets:
        own = 0
        while True:
            try:
                answer = sock.recv(2048)
            except BlockingIOError:
                break
            own += len(answer)
            retries += answer[0] & 0xF0 == 0xF0
        assert own <= 3 * 1200, (
            "more than three times of what an unproven address sent (RFC 9000 §8.1)"
        )
        received += own
        sock.close()
    assert retries == 40
    assert 0 < received <= 3 * sent
    async with connected(edge.tls_port) as peer:  # an honest one returns the token
        peer.put(0, headers(), end=True)
        await peer.settle()
        assert peer.status(0) == 200


async def test_noise_on_the_port_is_not_answered_with_more(edge: Edge) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", edge.tls_port))
        sock.setblocking(False)
        sent = 0
        for size in (1, 20, 100, 1199, 1200, 1472):
            for first in (0x00, 0x40, 0x80, 0xC0, 0xFF):
                sent += sock.send(bytes((first,)) + os.urandom(size - 1))
        await asyncio.sleep(0.2)
        received = 0
        while True:
            try:
                received += len(sock.recv(2048))
            except BlockingIOError:
                break
    assert received <= sent
