"""RFC 9113 and RFC 8441, section by section: a sequence of frames, and what must come of it.

An error of the connection is a GOAWAY with its code and the end of the connection; an error of a
stream is RST_STREAM with its code, and the connection goes on. Where the RFC leaves a choice, a case
names all that it allows; a message that is malformed may also be answered with 400 (§8.1.1).
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile.conftest import Dial, Origin
from tests.integration.edge.hostile.h2 import (
    ACK,
    CANCEL,
    DATA,
    ENABLE_CONNECT,
    END_STREAM,
    GOAWAY,
    INITIAL_WINDOW,
    PING,
    PREFACE,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS,
    Peer,
    frame,
    headers,
    reset,
    settings,
    window_update,
)
from tests.integration.edge.hostile.rfc9113 import GROUPS, SETTLED, WAITING, Case, path


def outcome(peer: Peer, number: int) -> tuple[str, int]:
    """Say what came of a case, for its stream."""
    if peer.is_closed:
        return "connection", -1 if peer.goaway is None else peer.goaway
    if peer.goaway is not None:
        return "half a connection", peer.goaway
    resets = peer.of(RST_STREAM, number)
    status = peer.status(number)
    if status is not None:  # an answer that is whole may be followed by a reset (§8.1)
        return "answer", status
    return ("stream", resets[-1].code) if resets else ("nothing", 0)


async def try_out(dial: Dial, case: Case, **options: Any) -> str:
    """Return what is wrong, "" when all is well."""
    peer = await dial(*case.first, **options)
    for part in case.frames:
        if part == SETTLED:
            await peer.settle()
        else:
            peer.send(part)
    await peer.settle()
    came = outcome(peer, case.stream)
    if came not in case.outcome:
        return f"{case.id}: {came} instead of {sorted(case.outcome)}"
    if not peer.is_closed and not case.is_last:
        peer.send(headers(9001))
        await peer.settle()
        if peer.status(9001) != 200:
            return f"{case.id}: the connection did not go on"
    return ""


@pytest.mark.parametrize("is_secure", [False, True], ids=["in clear", "under TLS"])
@pytest.mark.parametrize("cases", GROUPS.values(), ids=GROUPS.keys())
async def test_frames_and_what_must_come_of_them(
    edge: Edge, dial: Dial, cases: list[Case], is_secure: bool
) -> None:
    options: dict[str, Any] = {}
    if is_secure:
        context = edge.trust()
        context.set_alpn_protocols(["h2"])
        options = {"port": edge.tls_port, "ssl": context, "server_hostname": "localhost"}
    wrong = [await try_out(dial, case, **options) for case in cases]
    assert "\n".join(filter(None, wrong)) == ""


async def test_3_4_another_preface_ends_the_connection(edge: Edge) -> None:
    context = edge.trust()
    context.set_alpn_protocols(["h2"])
    client = await edge.connect(tls=context)
    peer = Peer(client.reader, client.writer)
    peer.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", settings())
    await peer.rest()
    assert peer.goaway in {None, PROTOCOL_ERROR}


async def test_3_4_the_first_frame_is_settings(edge: Edge) -> None:
    client = await edge.connect()
    peer = Peer(client.reader, client.writer)
    peer.send(PREFACE, headers(1))
    await peer.rest()
    assert peer.goaway == PROTOCOL_ERROR


async def test_6_5_3_settings_are_acknowledged_each(dial: Dial) -> None:
    peer = await dial()
    peer.send(settings((INITIAL_WINDOW, 1)), settings((INITIAL_WINDOW, 2)))
    await peer.settle()
    assert len([f for f in peer.of(SETTINGS) if f.flags & ACK]) == 3


async def test_6_7_a_ping_comes_back_as_it_was(dial: Dial) -> None:
    peer = await dial()
    peer.send(frame(PING, 0, 0, b"12345678"))
    answer = await peer.until(lambda f: f.kind == PING)
    assert (answer.flags, answer.payload) == (ACK, b"12345678")


async def test_6_8_requests_before_a_goaway_are_answered(dial: Dial) -> None:
    peer = await dial()
    peer.send(headers(1), frame(GOAWAY, 0, 0, b"\0" * 8 + b"words of farewell"))
    await peer.until(lambda f: f.kind == DATA and f.flags & END_STREAM)
    assert peer.body(1) == b"hello"


async def test_6_9_2_the_window_of_settings_is_kept(dial: Dial) -> None:
    peer = await dial((INITIAL_WINDOW, 3))
    peer.send(headers(1))
    await peer.settle()
    assert peer.body(1) == b"hel"
    peer.send(settings((INITIAL_WINDOW, 0)), window_update(1, 1))
    await peer.settle()
    assert peer.body(1) == b"hel"  # three below nothing, and one more: still below
    peer.send(window_update(1, 4))
    await peer.settle()
    assert peer.body(1) == b"hello"


async def test_6_9_the_connections_window_is_kept(dial: Dial) -> None:
    peer = await dial((INITIAL_WINDOW, 2**31 - 1))
    peer.send(headers(1, path(b"/large")))
    await peer.settle()
    assert len(peer.body(1)) == 65535
    peer.send(window_update(0, 10))
    await peer.settle()
    assert len(peer.body(1)) == 65545


async def test_4_2_frames_are_never_larger_than_the_client_takes(dial: Dial) -> None:
    peer = await dial()
    peer.send(window_update(0, 2**30), headers(1, path(b"/large")), window_update(1, 2**30))
    await peer.until(lambda f: f.kind == DATA and f.flags & END_STREAM)
    assert max(len(f.payload) for f in peer.frames) <= 16384
    assert len(peer.body(1)) == 1_000_000


async def test_8441_3_extended_connect_is_offered(dial: Dial) -> None:
    peer = await dial()
    first = peer.of(SETTINGS)[0].payload
    assert (ENABLE_CONNECT, 1) in struct.iter_unpack("!HI", first)


async def test_5_1_a_request_that_was_cancelled_frees_its_handler(
    dial: Dial, origin: Origin
) -> None:
    peer = await dial()
    peer.send(WAITING)
    await peer.settle()
    assert origin.at_once == 1
    peer.send(reset(1, CANCEL))
    await peer.settle()
    assert origin.at_once == 0
