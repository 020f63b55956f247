"""Clients that send what costs them nothing: each is told to calm down, soon, and counted.

What must come of each flood: GOAWAY with ENHANCE_YOUR_CALM within a thousand frames or a second, and no
more than a hundred of its requests at the origin at a time.
"""

from __future__ import annotations

import asyncio
import time

import hpack
import pytest

from services.edge.protocols import h2 as h2_module
from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile.conftest import Dial, Origin
from tests.integration.edge.hostile.h2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    GET,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    PADDED,
    PING,
    POST,
    PRIORITY,
    PROTOCOL_ERROR,
    RST_STREAM,
    Peer,
    data,
    frame,
    headers,
    reset,
    settings,
    window_update,
)  # fmt: skip

WAIT = [*GET[:3], (b":path", b"/wait")]
UPLOAD = [*POST[:3], (b":path", b"/wait")]
FRAMES, MOST_SECONDS = 1100, 10.0
"""A thousand, and those on their way when the server had enough: all that were sent at once, or those of
a while on a busy machine."""
AT_ONCE = 50
STREAMS = 100
"""What the server lets a client open, and an origin see of it, at a time."""

OPENED = headers(1, UPLOAD, END_HEADERS)
FLOODS = {
    "SETTINGS": lambda n: settings(),
    "SETTINGS that move windows": lambda n: settings((INITIAL_WINDOW, n)),
    "PING": lambda n: frame(PING, 0, 0, b"12345678"),
    "acknowledgements of no PING": lambda n: frame(PING, ACK, 0, b"12345678"),
    "empty DATA": lambda n: data(1),
    "DATA of padding": lambda n: data(1, b"\5" + bytes(5), PADDED),
    "WINDOW_UPDATE of the connection": lambda n: window_update(0, 1),
    "WINDOW_UPDATE of a stream": lambda n: window_update(1, 1),
    "PRIORITY": lambda n: frame(PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "PRIORITY of streams to come": lambda n: frame(PRIORITY, 0, 2 * n + 3, b"\0\0\0\0\1"),
    "PRIORITY_UPDATE": lambda n: frame(0x10, 0, 0, b"\0\0\0\1u=1"),
    "frames of an unknown type": lambda n: frame(0xFA, 0, 0),
    "GOAWAY": lambda n: frame(GOAWAY, 0, 0, bytes(8)),
    "RST_STREAM of one stream": lambda n: reset(1),
    "ALTSVC": lambda n: frame(0x0A, 0, 0, b"\0\0"),
}


@pytest.fixture(autouse=True)
def soon_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who floods is cut when it has been told, and not two seconds later."""
    monkeypatch.setattr(h2_module, "FLOOD_SECONDS", 0.05)


async def flood(peer: Peer, make, most: int = 20_000, at_once: int = AT_ONCE) -> tuple[int, float]:
    """Send until the server has enough; return how many frames and seconds that took."""
    began, sent = time.monotonic(), 0
    reading = asyncio.ensure_future(peer.rest(30))
    try:
        while not reading.done() and sent < most and not peer.goaway:
            peer.send(*(make(n) for n in range(sent, sent + at_once)))
            sent += at_once
            await asyncio.sleep(0)
        await reading
    finally:
        reading.cancel()
    return sent, time.monotonic() - began


def counted(edge: Edge) -> dict[str, float]:
    """The limits that were reached."""
    return {
        sample.labels["limit"]: sample.value
        for metric in edge.context.metrics.collect()
        for sample in metric.samples
        if sample.name == "quantum_edge_limits_reached_total"
    }


@pytest.mark.parametrize("make", FLOODS.values(), ids=FLOODS.keys())
async def test_frames_that_ask_for_nothing_end_the_connection(edge: Edge, dial: Dial, make) -> None:
    peer = await dial()
    peer.send(OPENED)
    sent, seconds = await flood(peer, make)
    assert peer.goaway == ENHANCE_YOUR_CALM
    assert sent <= FRAMES or seconds <= MOST_SECONDS
    assert sum(counted(edge).values()) == 1


async def test_streams_that_are_reset_as_they_open_hardly_reach_the_origin(
    edge: Edge, dial: Dial, origin: Origin
) -> None:
    peer = await dial()
    await flood(peer, lambda n: headers(2 * n + 1, WAIT) + reset(2 * n + 1), 10_000)
    assert peer.goaway == ENHANCE_YOUR_CALM
    assert len(origin.requests) <= 2 * STREAMS
    assert origin.most_at_once <= STREAMS
    assert counted(edge) == {"h2_resets": 1}
    await asyncio.sleep(0.05)
    assert origin.at_once == 0


async def test_streams_that_are_reset_once_they_run_never_pile_up_at_the_origin(
    dial: Dial, origin: Origin
) -> None:
    peer = await dial()
    reading = asyncio.ensure_future(peer.rest(30))
    for first in range(1, 20_000, 2 * AT_ONCE):
        numbers = range(first, first + 2 * AT_ONCE, 2)
        peer.send(*(headers(n, WAIT) for n in numbers))
        await asyncio.sleep(0.001)
        peer.send(*(reset(n) for n in numbers))
        await asyncio.sleep(0)
        if peer.goaway:
            break
    await reading
    assert peer.goaway == ENHANCE_YOUR_CALM
    assert len(origin.requests) <= 3 * STREAMS
    assert origin.most_at_once <= STREAMS


MADE_TO_RESET = {
    "WINDOW_UPDATE of 0": lambda n: headers(n, WAIT) + window_update(n, 0),
    "DATA beyond content-length": lambda n: (
        headers(n, [*UPLOAD, (b"content-length", b"1")], END_HEADERS) + data(n, b"xy")
    ),
    "trailers that do not end": lambda n: headers(n, UPLOAD, END_HEADERS) * 2,
    "DATA behind the end": lambda n: headers(n, WAIT) + data(n, b"x"),
    "a malformed head": lambda n: headers(n, [*GET, (b"A", b"b")]),
    "a window above the maximum": lambda n: headers(n, WAIT) + window_update(n, 2**31 - 1),
    "a head on a stream that ended": lambda n: headers(n, WAIT) * 2,
}


@pytest.mark.parametrize("make", MADE_TO_RESET.values(), ids=MADE_TO_RESET.keys())
async def test_resets_that_a_client_provokes_are_its_own(dial: Dial, origin: Origin, make) -> None:
    peer = await dial()
    sent, seconds = await flood(peer, lambda n: make(2 * n + 1), 10_000)
    assert peer.goaway in {ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, 5}
    assert sent <= FRAMES or seconds <= MOST_SECONDS
    assert origin.most_at_once <= STREAMS


@pytest.mark.parametrize("payload", [b"", b"\x00\x01a\x01b" * 100], ids=["empty", "with fields"])
async def test_a_head_of_endless_continuations_ends_the_connection(
    edge: Edge, dial: Dial, payload
) -> None:
    peer = await dial()
    peer.send(frame(HEADERS, END_STREAM, 1, b""))
    sent, _ = await flood(peer, lambda n: frame(CONTINUATION, 0, 1, payload), at_once=1)
    assert peer.goaway == ENHANCE_YOUR_CALM
    assert sent <= 200
    assert sum(counted(edge).values()) == 1


def crumbs(count: int, size: int) -> bytes:
    """A head of many cookies that cost a byte each: the first one is remembered by HPACK."""
    encoder = hpack.Encoder()
    value = b"x" * size
    block = encoder.encode([*GET, (b"cookie", value)], huffman=False)
    again = encoder.encode([(b"cookie", value)])
    assert len(again) == 1
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block + again * (count - 1))


@pytest.mark.parametrize(("count", "size"), [(150, 1), (40, 2000)])
async def test_a_head_of_more_than_is_allowed_is_431(dial: Dial, count, size) -> None:
    peer = await dial()
    peer.send(crumbs(count, size))
    await peer.settle()
    assert peer.status(1) == 431
    assert not peer.is_closed


@pytest.mark.parametrize(("count", "size"), [(2000, 1), (1000, 2000), (10_000, 0)])
async def test_a_head_that_unpacks_to_a_bomb_ends_the_connection(
    edge: Edge, dial: Dial, origin: Origin, count, size
) -> None:
    peer = await dial()
    peer.send(crumbs(count, size))
    await peer.settle()
    assert peer.is_closed
    assert peer.goaway in {None, ENHANCE_YOUR_CALM}
    assert not origin.requests
    assert sum(counted(edge).values()) == 1


async def test_heads_that_are_held_at_the_same_time_are_bounded(
    edge: Edge, dial: Dial, origin: Origin
) -> None:
    peer = await dial((INITIAL_WINDOW, 0))
    heavy = [*WAIT, (b"cookie", b"x" * 15_000)]
    for number in range(1, 2 * STREAMS, 2):
        peer.send(headers(number, heavy, END_HEADERS | END_STREAM))
    await peer.settle()
    held = sum(len(r.headers.get(b"cookie") or b"") for r in origin.requests)
    assert held <= 1024 * 1024
    assert peer.status(2 * STREAMS - 1) == 503
    assert counted(edge)["heads_of_connection"] >= 1


async def test_a_large_download_may_be_acknowledged_frame_by_frame(dial: Dial) -> None:
    peer = await dial()
    paths = [*GET[:3], (b":path", b"/large")]
    for number in range(1, 61, 2):
        peer.send(headers(number, paths))
        while (read := await peer.read()) is not None:
            if read.kind == DATA and read.payload:
                size = len(read.payload)
                peer.send(window_update(0, size), window_update(read.stream, size))
                peer.send(frame(PING, 0, 0, b"bandwith"))
            if read.flags & END_STREAM and read.kind == DATA:
                break
    assert not peer.is_closed
    assert len(peer.of(DATA)) > 1800


async def test_others_are_served_while_one_floods(edge: Edge, dial: Dial) -> None:
    served = asyncio.Event()

    async def attack() -> None:
        while not served.is_set():
            peer = await dial()
            await flood(peer, lambda n: headers(2 * n + 1, WAIT) + reset(2 * n + 1), 10_000)

    good = await dial()
    attacking = asyncio.ensure_future(attack())
    taken = []
    for number in range(1, 200, 2):
        began = time.monotonic()
        good.send(headers(number))
        await good.until(lambda f, n=number: f.stream == n and f.flags & END_STREAM)
        taken.append(time.monotonic() - began)
    served.set()
    await attacking
    assert sorted(taken)[-2] < 5
    assert not good.of(RST_STREAM)
