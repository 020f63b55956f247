"""Whatever bytes come, in whatever pieces: no exception, the same answers, nothing after a refusal."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from quantum.http.body import read_all
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from services.edge.protocols.h1 import H1Connection
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.host import Limits, Site
from services.edge.protocols.pace import Pace

FACTS = ConnectionFacts(("192.0.2.7", 1), ("192.0.2.1", 80), "http")
STAMPS = Stamps()

PARTS = st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"HEAD / HTTP/1.0\r\n", b"OPTIONS * HTTP/1.1\r\n",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: x\r\n", b"Expect: 100-continue\r\n",
    b"X-A: b\r\n", b"\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n", b"\n", b"\r",
    b" ", b"\x00", b"\xff", b":", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
])  # fmt: skip
MESSAGES = st.lists(PARTS, max_size=14).map(b"".join) | st.binary(max_size=200)


class Transport:
    """Takes what is written; notes how it ended."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "close"

    def abort(self) -> None:
        self.ended = "abort"

    def write_eof(self) -> None:
        self.ended = self.ended or "eof"

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None: ...

    def is_closing(self) -> bool:
        return self.ended in {"close", "abort"}

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Host:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.site = Site("s", echo, fail, Limits(16384, 60, 60, Pace(60), Pace(60)))
        self.stamps = STAMPS
        self.deadlines = self
        self.is_draining = False

    def joined(self, connection: Any) -> None: ...

    def left(self, connection: Any) -> None: ...

    def reached(self, limit: str, peer: str = "") -> None: ...

    def watch(self, timed: Any) -> None: ...


async def echo(request: Request) -> Response:
    body = await read_all(request.body, 1000)
    return Response(200, Headers([(b"x-path", request.path.encode())]), body)


async def fail(request: Request, error: Exception) -> Response:
    return Response(getattr(error, "status", 500))


async def exchange(pieces: list[bytes]) -> tuple[bytes, str]:
    """Feed the pieces with turns of the loop between them; return what was written, and the end."""
    transport = Transport()
    connection = H1Connection(Host(asyncio.get_running_loop()), FACTS)  # type: ignore[arg-type]
    connection.connection_made(transport)  # type: ignore[arg-type]
    for piece in pieces:
        if transport.ended in {"close", "abort"}:
            break
        connection.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    result = transport.written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""), transport.ended
    connection.connection_lost(None)
    await asyncio.sleep(0)
    return result


@settings(max_examples=400, deadline=None)
@example(message=b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", cuts=[3])
@given(message=MESSAGES, cuts=st.lists(st.integers(0, 300), max_size=6))
def test_it_does_not_matter_how_the_bytes_are_cut(message: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(message)) for cut in cuts} | {0, len(message)})
    pieces = [message[a:b] for a, b in itertools.pairwise(places)]
    whole, _ = asyncio.run(exchange([message]))
    cut, _ = asyncio.run(exchange(pieces))
    assert statuses(cut) == statuses(whole)


@settings(max_examples=300, deadline=None)
@given(message=MESSAGES)
def test_nothing_is_answered_after_a_refusal(message: bytes) -> None:
    written, ended = asyncio.run(exchange([message]))
    found = statuses(written)
    assert 500 not in found
    refused = [place for place, status in enumerate(found) if status != 200]
    assert not refused or refused[0] == len(found) - 1
    assert not refused or ended


def statuses(written: bytes) -> list[int]:
    return [int(part[:3]) for part in written.split(b"HTTP/1.1 ")[1:]]
