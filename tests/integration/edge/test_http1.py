"""HTTP/1.1 over real sockets: framing, order, bodies both ways, refusals, upgrades, what time does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import read_all
from quantum.http.headers import Headers
from quantum.http.message import ByteStream, Request, Response
from tests.integration.edge.conftest import SECONDS, Edge, length_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Pieces:
    """A pulled body for answers."""

    def __init__(
        self,
        pieces: list[bytes],
        length: int | None = None,
        trailers: Headers | None = None,
        failure: Exception | None = None,
    ) -> None:
        self.length = length
        self.trailers = trailers
        self.closed = False
        self._pieces = iter(pieces)
        self._failure = failure

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        for piece in self._pieces:
            return piece
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def echo(request: Request) -> Response:
    return Response(200, Headers(), await read_all(request.body, 10**7))


async def about(request: Request) -> Response:
    fields = b" ".join(name for name, _ in request.headers)
    text = f"{request.method} {request.authority} {request.target} {request.version} ".encode()
    return Response(200, Headers(), text + fields)


# Answers and connections.


async def test_an_answer_has_length_server_and_date(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect()
    head, body = await client.ask(GET)
    assert body == b"hello"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nServer: Quantum\r\nDate: " in head


async def test_one_connection_carries_many_requests(edge: Edge) -> None:
    await edge.serve(about)
    client = await edge.connect()
    for number in range(5):
        _, body = await client.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        assert body.startswith(b"GET a /%d HTTP/1.1" % number)


async def test_pipelined_requests_are_answered_in_order(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.02 if request.path == "/0" else 0)
        return Response(200, Headers(), request.path.encode())

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(200)))
    for number in range(200):
        head = await client.head()
        assert await client.exactly(length_of(head)) == b"/%d" % number


async def test_a_request_may_come_byte_by_byte(edge: Edge) -> None:
    await edge.serve(echo)
    client = await edge.connect()
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    head = await client.head()
    assert await client.exactly(length_of(head)) == b"abc"


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
async def test_who_closes(edge: Edge, request_: bytes, closes: bool) -> None:
    await edge.serve()
    client = await edge.connect()
    head, _ = await client.ask(request_)
    if closes:
        assert b"\r\nConnection: close\r\n" in head
        assert await client.rest() == b""
    else:
        assert b"\r\nConnection: keep-alive\r\n" in head
        head, _ = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 200")


async def test_head_answers_have_the_length_but_no_body(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    head = await client.head()
    assert length_of(head) == 5
    assert (await client.head()).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_body_have_no_framing(edge: Edge, status: int) -> None:
    async def answer(request: Request) -> Response:
        return Response(status, Headers([(b"content-length", b"5")]), b"hello")

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET + GET)
    for _ in range(2):
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 %d" % status)
        assert b"Content-Length" not in head
        assert b"Transfer-Encoding" not in head


async def test_a_handlers_own_date_and_server_are_not_doubled(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        fields = [(b"date", b"D"), (b"server", b"S"), (b"connection", b"x"), (b"keep-alive", b"1")]
        return Response(200, Headers(fields))

    await edge.serve(answer)
    head, _ = await (await edge.connect()).ask(GET)
    lines = head.split(b"\r\n")
    assert lines[1:3] == [b"Date: D", b"Server: S"]
    assert head.lower().count(b"date:") == head.lower().count(b"server:") == 1
    assert b"onnection" not in head
    assert b"Keep-Alive" not in head


# Pulled bodies.


async def test_a_body_of_unknown_length_is_chunked_with_its_trailers(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        trailers = Headers([(b"x-sum", b"1"), (b"content-length", b"9")])
        return Response(200, Headers(), Pieces([b"ab", b"c" * 20_000], trailers=trailers))

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET + GET)
    for _ in range(2):
        assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
        body = await client.exactly(7 + 6 + 20_000 + 2)
        assert body == b"2\r\nab\r\n4e20\r\n" + b"c" * 20_000 + b"\r\n"
        assert await client.exactly(15) == b"0\r\nX-Sum: 1\r\n\r\n"


async def test_a_1_0_client_gets_the_body_until_the_end(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, Headers(), Pieces([b"ab", b"c"]))

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head = await client.head()
    assert b"Connection: close" in head
    assert b"chunked" not in head
    assert await client.rest() == b"abc"


@pytest.mark.parametrize(
    "body",
    [
        lambda: Pieces([b"ab"], length=3),
        lambda: Pieces([b"ab", b"cd"], length=3),
        lambda: Pieces([b"ab"], failure=BodyAborted("upstream died")),
        lambda: Pieces([b"ab"], length=3, failure=RuntimeError("defect")),
    ],
)
async def test_a_body_that_fails_never_looks_complete(edge: Edge, body) -> None:
    bodies = []

    async def answer(request: Request) -> Response:
        bodies.append(body())
        return Response(200, Headers(), bodies[-1])

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    head = rest = b""
    try:  # a reset may overtake what was sent before it
        head = await client.head()
        rest = await client.rest()
    except (ConnectionResetError, asyncio.IncompleteReadError):
        pass
    assert not rest.endswith(b"0\r\n\r\n")
    assert b"chunked" in head or len(rest) < 3
    assert bodies[0].closed


async def test_a_slow_client_does_not_make_the_server_buffer(edge: Edge) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200_000_000:
            sent += 65536
            yield b"x" * 65536

    class Endless(Pieces):
        def __init__(self) -> None:
            super().__init__([])
            self._chunks = chunks()

        async def __anext__(self) -> bytes:
            return await anext(self._chunks)

    async def answer(request: Request) -> Response:
        return Response(200, Headers(), Endless())

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    await client.head()
    await asyncio.sleep(0.3)
    first = sent
    await asyncio.sleep(0.2)
    assert sent == first < 30_000_000  # kernel buffers of both sides, and one of ours


# Request bodies.


@pytest.mark.parametrize("size", [1, 5000, 300_000])
async def test_a_body_with_a_length_reaches_the_handler(edge: Edge, size: int) -> None:
    await edge.serve(echo)
    client = await edge.connect()
    data = bytes(range(256)) * (size // 256 + 1)
    for _ in range(2):
        _, body = await client.ask(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + data[:size]
        )
        assert body == data[:size]


async def test_a_chunked_body_and_the_request_behind_it(edge: Edge) -> None:
    await edge.serve(echo)
    client = await edge.connect()
    message = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    await client.send(message)
    await asyncio.sleep(0.02)
    await client.send(b"2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n" + GET)
    head = await client.head()
    assert await client.exactly(length_of(head)) == b"abcde"
    assert (await client.head()).startswith(b"HTTP/1.1 200")


async def test_a_body_that_nobody_reads_pauses_the_client(edge: Edge) -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> Response:
        await release.wait()
        return Response(200, Headers(), b"%d" % len(await read_all(request.body, 10**8)))

    await edge.serve(answer)
    client = await edge.connect()
    size = 20_000_000
    client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    client.writer.write(b"x" * size)
    await asyncio.sleep(0.2)
    assert client.writer.transport.get_write_buffer_size() > size // 4
    release.set()
    head = await client.head()
    assert await client.exactly(length_of(head)) == b"%d" % size


async def test_continue_is_sent_when_the_body_is_pulled_and_not_before(edge: Edge) -> None:
    await edge.serve(echo)
    client = await edge.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    head, body = await client.ask(b"abc")
    assert (head[:12], body) == (b"HTTP/1.1 200", b"abc")


async def test_a_refused_expectation_closes_because_the_body_may_still_come(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        return Response(403)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 403")
    assert b"Connection: close" in head


async def test_a_short_body_nobody_read_is_skipped_and_a_long_one_closes(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        return Response(200)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    assert b"close" not in await client.head()
    await client.send(b"def" + GET)
    assert (await client.head()).startswith(b"HTTP/1.1 200")
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nabc")
    assert b"Connection: close" in await client.head()


async def test_a_client_that_breaks_its_chunks_gets_400(edge: Edge) -> None:
    await edge.serve(echo)
    client = await edge.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    await asyncio.sleep(0.02)
    await client.send(b"zz\r\n" + GET)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


# Refusals.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)  # fmt: skip
async def test_a_refusal_answers_once_and_closes(edge: Edge, data: bytes, status: int) -> None:
    await edge.serve()
    client = await edge.connect()
    await client.send(data + GET)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_requests_before_a_refused_one_are_answered(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect()
    await client.send(GET + b"BAD\r\n\r\n" + GET)
    answer = await client.rest()
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 400") == 1


async def test_empty_lines_before_a_request_are_ignored(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect()
    head, _ = await client.ask(b"\r\n\r\n" + GET)
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_field_that_would_split_the_answer_is_500(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, Headers([(b"x-a", b"a\r\nSet-Cookie: evil=1")]))

    await edge.serve(answer)
    head, _ = await (await edge.connect()).ask(GET)
    assert head.startswith(b"HTTP/1.1 500")
    assert b"evil" not in head


async def test_errors_of_handlers_are_bare_statuses(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        if request.path == "/defect":
            raise ZeroDivisionError
        raise HttpError(503, "secret reason", ((b"retry-after", b"5"),))

    await edge.serve(answer)
    client = await edge.connect()
    head, body = await client.ask(GET)
    assert (head[:12], body) == (b"HTTP/1.1 503", b"")
    assert b"Retry-After: 5" in head
    head, _ = await client.ask(b"GET /defect HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500")


# Clients that leave, time that runs out.


async def test_a_client_that_leaves_cancels_its_handler(edge: Edge) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> Response:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    await asyncio.wait_for(started.wait(), SECONDS)
    client.close()
    await asyncio.wait_for(cancelled.wait(), SECONDS)


async def test_a_client_that_only_ends_its_direction_is_answered(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return Response(200, Headers(), b"late")

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    client.writer.write_eof()
    assert (await client.rest()).endswith(b"late")


async def test_a_body_cut_short_reaches_the_handler_as_such(edge: Edge) -> None:
    seen: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def answer(request: Request) -> Response:
        try:
            await read_all(request.body, 100)
        except BodyAborted as error:
            seen.set_result(error)
            raise
        return Response(200)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    client.writer.write_eof()
    await asyncio.wait_for(seen, SECONDS)
    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
async def test_who_reads_a_body_on_when_the_answer_is_over_hears_that_it_is(
    edge: Edge, last
) -> None:
    reading: list[asyncio.Task[bytes]] = []

    async def answer(request: Request) -> Response:
        reading.append(asyncio.create_task(read_all(request.body, 100)))  # as for an upstream
        await asyncio.sleep(0)
        return Response(200)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n" + last + b"\r\nabc")
    assert (await client.head()).startswith(b"HTTP/1.1 200")
    with pytest.raises(BodyAborted):
        await asyncio.wait_for(reading[0], SECONDS)


async def test_a_head_that_stops_coming_is_408(edge: Edge) -> None:
    await edge.serve(read_header_timeout="500ms")
    client = await edge.connect()
    await client.send(b"GET / HTTP/1.1\r\nHo")
    assert (await client.rest()).startswith(b"HTTP/1.1 408")
    reached = edge.context.metrics.get_sample_value
    assert reached("quantum_edge_limits_reached_total", {"limit": "read_header"}) == 1


async def test_a_body_that_stops_coming_is_408(edge: Edge) -> None:
    await edge.serve(echo, read_idle_timeout="500ms")
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    assert (await client.rest()).startswith(b"HTTP/1.1 408")
    reached = edge.context.metrics.get_sample_value
    assert reached("quantum_edge_limits_reached_total", {"limit": "read_idle"}) == 1


async def test_an_idle_connection_is_closed_and_a_slow_handler_is_not(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(1.5)
        return Response(200, Headers(), b"slow")

    await edge.serve(answer, idle_timeout="500ms", read_header_timeout="500ms")
    client = await edge.connect()
    _, body = await client.ask(GET)
    assert body == b"slow"
    assert await client.rest() == b""


# Upgrades and interim answers.


async def test_an_upgrade_gives_both_directions_to_the_handler(edge: Edge) -> None:
    async def tunnel(stream: ByteStream) -> None:
        while data := await stream.read():
            await stream.write(data.upper())
        await stream.write(b"bye")

    async def answer(request: Request) -> Response:
        assert request.upgrade == "websocket"
        return Response(101, Headers([(b"sec-websocket-protocol", b"p")]), upgrade=tunnel)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nearly"
    )
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert b"Sec-Websocket-Protocol: p" in head
    assert b"Content-Length" not in head
    assert await client.exactly(5) == b"EARLY"
    await client.send(b"more")
    assert await client.exactly(4) == b"MORE"
    client.writer.write_eof()
    assert await client.rest() == b"bye"


async def test_a_tunnel_that_breaks_is_cut_whatever_was_answered_before_it(edge: Edge) -> None:
    async def tunnel(stream: ByteStream) -> None:
        assert await stream.read() == b"early"
        raise BodyAborted("the other end is gone")

    async def answer(request: Request) -> Response:
        if request.upgrade is not None:
            return Response(101, Headers(), upgrade=tunnel)
        return Response(200, Headers(), Pieces([b"whole"], length=5))

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    await client.head()
    assert await client.exactly(5) == b"whole"
    await client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nearly"
    )
    assert (await client.head()).startswith(b"HTTP/1.1 101")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_bytes_behind_a_refused_upgrade_are_not_read_as_a_request(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect()
    await client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n" + GET
    )
    answer = await client.rest()
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_interim_answers_come_before_the_final_one(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        assert request.informational is not None
        request.informational(103, Headers([(b"link", b"</a>")]))
        return Response(200)

    await edge.serve(answer)
    client = await edge.connect()
    await client.send(GET)
    assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert (await client.head()).startswith(b"HTTP/1.1 200")


# What is told of requests.


async def test_requests_are_counted_and_timed_when_metrics_are_wanted(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(200, Headers(), b"hello")

    route = [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:9"}]}]}]
    servers = {"a": {"listen": [f"127.0.0.1:{edge.port}"], "routes": route}}
    await edge.apply(servers, answer, metrics={})
    client = await edge.connect()
    await client.ask(GET)
    labels = {"server": "a", "method": "GET", "code": "200"}
    sample = edge.context.metrics.get_sample_value
    assert sample("quantum_edge_requests_total", labels) == 1
    assert sample("quantum_edge_response_bytes_total", {"server": "a"}) == 5
    seconds = sample("quantum_edge_request_duration_seconds_sum", labels)
    assert seconds is not None
    assert 0.015 < seconds < 1


@pytest.mark.parametrize("catches_all", [False, True])
async def test_requests_are_counted_by_host_where_that_is_wanted(
    edge: Edge, catches_all: bool
) -> None:
    routes = [
        {"match": [{"host": ["named.test"]}], "handle": [{"handler": "static_response"}]},
        {"handle": [{"handler": "static_response"}]},
    ]
    off = {"disable": True}
    server = {"listen": [f"127.0.0.1:{edge.port}"], "automatic_https": off, "routes": routes}
    metrics = {"per_host": True, "observe_catchall_hosts": catches_all}
    await edge.apply({"a": server}, metrics=metrics)
    client = await edge.connect()
    for host in ("named.test", "NAMED.test:80", "other.test"):
        await client.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    labels = {"server": "a", "method": "GET", "code": "200"}
    sample = edge.context.metrics.get_sample_value
    found = {
        host: sample("quantum_edge_host_requests_total", {**labels, "host": host})
        for host in ("named.test", "other.test", "_other")
    }
    expected = (1, None) if catches_all else (None, 1)
    assert tuple(found.values()) == (2, *expected)


async def test_each_handler_of_a_request_is_logged_where_that_is_wanted(edge: Edge) -> None:
    inner = [{"handle": [{"handler": "static_response", "body": "hi"}]}]
    handle = [{"handler": "headers"}, {"handler": "subroute", "routes": inner}]
    server = {"listen": [f"127.0.0.1:{edge.port}"], "routes": [{"handle": handle}]}
    await edge.apply({"a": {**server, "logs": {"trace": True}}})
    with capture_logs() as logs:
        await (await edge.connect()).ask(GET)
    place = "apps.http.servers.a.routes[0].handle"
    traced = [(e["event"], e["path"]) for e in logs if "handle" in e.get("path", "")]
    assert traced == [
        ("headers", f"{place}[0]"),
        ("subroute", f"{place}[1]"),
        ("static_response", f"{place}[1].routes[0].handle[0]"),
    ]


async def test_strict_sni_host_refuses_a_host_that_the_handshake_did_not_name(edge: Edge) -> None:
    await edge.serve(strict_sni_host=True)
    client = await edge.connect(tls=edge.trust())
    head, _ = await client.ask(b"GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    head, _ = await client.ask(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 421")


async def test_a_trusted_proxy_tells_who_the_client_is(edge: Edge) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, Headers(), request.client_ip.encode())

    trusted = {"source": "static", "ranges": ["127.0.0.0/8"]}
    await edge.serve(answer, trusted_proxies=trusted)
    client = await edge.connect()
    _, body = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
    assert body == b"192.0.2.7"
