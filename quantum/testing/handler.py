"""check_handler: what a handler may rely on wherever it runs, one coroutine per promise.

    @pytest.mark.parametrize("check", HANDLER_CHECKS, ids=lambda check: check.__name__)
    async def test_a_handler_is_the_same_near_and_far(check):
        await check(reach)

``reach`` takes the handler of a check and returns the way to it: the handler itself, or one that
travels. Checks fail by AssertionError and end within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import HIGH_WATER, AnyBody, read_all
from quantum.http.handler import Handler
from quantum.http.headers import Headers
from quantum.http.message import ByteStream, ConnectionFacts, Request, Response, TlsFacts

Reach = Callable[[Handler], Awaitable[Handler]]
Answer = Callable[[Request], Awaitable[Response]]

SECONDS = 30.0
"""What a check may wait for something that must happen."""
BUFFERED = 2 * 1024 * 1024
"""The most that may be under way between a producer and a reader that does not read."""
CHUNK = b"x" * 16384

_TLS = TlsFacts(
    "tls1.3", "TLS_AES_128_GCM_SHA256", "example.com", "h2", client_certificate=b"\x30\x00"
)
FACTS = ConnectionFacts(("192.0.2.7", 4711), ("198.51.100.1", 443), "https", _TLS, "srv0")


class FunctionHandler:
    """A handler made of a coroutine function."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def handle(self, request: Request) -> Awaitable[Response]:
        """Answer."""
        return self._answer(request)


class PulledBody:
    """A body over an async iterator, which counts what was pulled and notes its closing."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        length: int | None = None,
        trailers: Headers | None = None,
    ) -> None:
        self.length = length
        self.trailers: Headers | None = None
        self.pulled = 0
        self.closed = asyncio.Event()
        self._chunks = chunks
        self._trailers = trailers

    def __aiter__(self) -> PulledBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self.trailers = self._trailers
            raise
        self.pulled += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Note that nobody reads on."""
        self.closed.set()


def make_request(method: str = "GET", body: AnyBody = b"", *fields: tuple[bytes, bytes]) -> Request:
    """Return a request of a client beyond TLS."""
    headers = Headers([(b"accept", b"*/*"), *fields])
    return Request(method, "https", "example.com", "/a%20b", "x=1", headers, body, FACTS)


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK


async def _until(event: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        await event.wait()


async def the_request_arrives_as_it_was(reach: Reach) -> None:
    """Method, target, fields, body, client and TLS facts, id, deadline, variables."""
    seen: list[Request] = []

    async def answer(request: Request) -> Response:
        request.body = await read_all(request.body, 100)
        seen.append(request)
        return Response(200)

    request = make_request("POST", b"hello", (b"x-a", b"1"), (b"x-a", b"2"))
    request.version = "HTTP/2.0"
    request.client_ip = "203.0.113.9"
    request.original = ("GET", "/before", None)
    request.vars["user"] = {"name": "ü", "groups": ["a", 1, None]}
    request.deadline = asyncio.get_running_loop().time() + 5
    await (await reach(FunctionHandler(answer))).handle(request)
    far = seen[0]
    assert far.body == b"hello"
    for name in ("method", "scheme", "authority", "path", "query", "version", "client_ip", "original",
                 "id", "vars", "upgrade"):  # fmt: skip
        assert getattr(far, name) == getattr(request, name), name
    assert far.headers.fields == request.headers.fields
    facts = far.connection
    assert (facts.peer, facts.local, facts.scheme, facts.server) == (
        FACTS.peer, FACTS.local, "https", "srv0",
    )  # fmt: skip
    assert facts.tls is not None
    for name in TlsFacts.__slots__:
        assert getattr(facts.tls, name) == getattr(_TLS, name), name
    assert far.deadline is not None
    assert abs(far.deadline - request.deadline) < 1


async def odd_targets_and_methods_arrive(reach: Reach) -> None:
    """What HTTP/2 has no word for: an asterisk, blanks, non-ASCII, methods of other protocols."""
    seen: list[tuple[str, str, str | None]] = []

    async def answer(request: Request) -> Response:
        seen.append((request.method, request.path, request.query))
        return Response(200)

    handler = await reach(FunctionHandler(answer))
    odd: list[tuple[str, str, str | None]] = [
        ("OPTIONS", "*", None), ("GET", "/with blank", "q= "), ("GET", "/ü%", ""),
        ("M-SEARCH", "/", None), ("get", "/", None), ("CONNECT", "/", None), ("GET", "/a?b", "c?d"),
    ]  # fmt: skip
    for method, path, query in odd[:-1]:
        request = make_request(method)
        request.path, request.query = path, query
        assert (await handler.handle(request)).status == 200
    assert seen == odd[:-1]


async def the_response_arrives_as_it_was(reach: Reach) -> None:
    """Status, fields in order with repeats, a body in memory as bytes."""
    fields = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]

    async def answer(request: Request) -> Response:
        return Response(418, Headers(list(fields)), b"short and stout")

    response = await (await reach(FunctionHandler(answer))).handle(make_request())
    assert (response.status, response.body) == (418, b"short and stout")
    assert response.headers.fields == fields
    assert not response.close


async def an_error_arrives_as_an_error(reach: Reach) -> None:
    """With its status, its reason and its fields, for error routes to handle."""

    async def answer(request: Request) -> Response:
        raise HttpError(405, "no such Methode: ü\n", ((b"allow", b"GET"),))

    handler = await reach(FunctionHandler(answer))
    try:
        await handler.handle(make_request())
    except HttpError as error:
        came_back = error
    else:
        raise AssertionError("no error came back")
    assert (came_back.status, came_back.reason.strip()) == (405, "no such Methode: ü")
    assert came_back.headers == ((b"allow", b"GET"),)


async def a_long_body_in_memory_keeps_its_length(reach: Reach) -> None:
    """A body that is all there but too long to travel with its head is announced with its length, both ways."""
    data = bytes(2 * HIGH_WATER)

    async def answer(request: Request) -> Response:
        body = request.body
        length = len(body) if isinstance(body, bytes) else body.length
        assert length == len(data)
        assert await read_all(body, BUFFERED) == data
        return Response(200, body=data)

    response = await (await reach(FunctionHandler(answer))).handle(make_request("POST", data))
    body = response.body
    assert (len(body) if isinstance(body, bytes) else body.length) == len(data)
    assert await read_all(body, BUFFERED) == data


async def an_answer_to_head_keeps_its_length(reach: Reach) -> None:
    """A content-length without a body is no short body."""

    async def answer(request: Request) -> Response:
        return Response(200, Headers([(b"content-length", b"12345")]))

    response = await (await reach(FunctionHandler(answer))).handle(make_request("HEAD"))
    assert response.headers.get(b"content-length") == b"12345"
    assert response.body == b""


async def informational_responses_come_first(reach: Reach) -> None:
    """103 reaches the client before the final response."""
    heard: list[tuple[int, bytes | None]] = []

    async def answer(request: Request) -> Response:
        assert request.informational is not None
        request.informational(103, Headers([(b"link", b"</a.css>; rel=preload")]))
        await asyncio.sleep(0)
        return Response(200)

    request = make_request()
    request.informational = lambda status, headers: heard.append((status, headers.get(b"link")))
    assert (await (await reach(FunctionHandler(answer))).handle(request)).status == 200
    assert heard == [(103, b"</a.css>; rel=preload")]


async def bodies_stream_both_ways_with_trailers(reach: Reach) -> None:
    """Pulled bodies arrive whole, their trailers after them."""

    async def answer(request: Request) -> Response:
        assert not isinstance(request.body, bytes)
        assert request.body.length == 50 * len(CHUNK)
        assert b"content-length" not in request.headers, "the body says it"
        size = len(await read_all(request.body, 1 << 24))
        assert request.body.trailers == Headers([(b"x-sum", b"1")])
        trailers = Headers([(b"x-size", b"%d" % size)])
        return Response(200, body=PulledBody(_chunks(100), 100 * len(CHUNK), trailers))

    upload = PulledBody(_chunks(50), 50 * len(CHUNK), Headers([(b"x-sum", b"1")]))
    response = await (await reach(FunctionHandler(answer))).handle(make_request("POST", upload))
    assert not isinstance(response.body, bytes)
    assert response.body.length == 100 * len(CHUNK)
    assert await read_all(response.body, 1 << 24) == CHUNK * 100
    assert response.body.trailers == Headers([(b"x-size", b"%d" % (50 * len(CHUNK)))])


async def a_slow_reader_stops_the_producer(reach: Reach) -> None:
    """Nothing is pulled that nobody asked for, but for the windows' worth."""
    body = PulledBody(_chunks(1000))

    async def answer(request: Request) -> Response:
        return Response(200, body=body)

    response = await (await reach(FunctionHandler(answer))).handle(make_request())
    assert not isinstance(response.body, bytes)
    await response.body.__anext__()
    await asyncio.sleep(0.2)
    assert body.pulled < BUFFERED
    rest = await read_all(response.body, 1 << 26)
    assert len(rest) < body.pulled == 1000 * len(CHUNK)


async def a_slow_handler_stops_the_upload(reach: Reach) -> None:
    """The same in the other direction."""
    upload = PulledBody(_chunks(1000))
    release = asyncio.Event()

    async def answer(request: Request) -> Response:
        await release.wait()
        return Response.text(200, str(len(await read_all(request.body, 1 << 26))))

    handler = await reach(FunctionHandler(answer))
    running = asyncio.gather(handler.handle(make_request("POST", upload)))
    await asyncio.sleep(0.2)
    assert upload.pulled < BUFFERED
    release.set()
    (response,) = await running
    assert response.body == b"%d" % (1000 * len(CHUNK))


async def a_cancelled_request_cancels_the_handler(reach: Reach) -> None:
    """Who waits for nothing any more makes nobody work."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> Response:
        began.set()
        try:
            await asyncio.sleep(SECONDS)
        finally:
            ended.set()
        return Response(200)

    running = asyncio.gather((await reach(FunctionHandler(answer))).handle(make_request()))
    await _until(began)
    running.cancel()
    await _until(ended)
    await asyncio.wait([running])


async def closing_a_response_closes_its_source(reach: Reach) -> None:
    """A client that leaves in the middle stops the producer."""
    body = PulledBody(_chunks(100_000))

    async def answer(request: Request) -> Response:
        return Response(200, body=body)

    response = await (await reach(FunctionHandler(answer))).handle(make_request())
    assert not isinstance(response.body, bytes)
    await response.body.__anext__()
    await response.body.aclose()
    await _until(body.closed)
    assert body.pulled < 2 * BUFFERED


async def a_body_that_breaks_off_is_known_to_be_short(reach: Reach) -> None:
    """A handler that fails in the middle of its body never looks like one that finished."""

    async def broken() -> AsyncIterator[bytes]:
        yield CHUNK
        raise BodyAborted("the source broke off")

    async def answer(request: Request) -> Response:
        return Response(200, body=PulledBody(broken()))

    response = await (await reach(FunctionHandler(answer))).handle(make_request())
    try:
        await read_all(response.body, 1 << 20)
    except BodyAborted:
        return
    raise AssertionError("the short body looked whole")


async def an_upload_that_breaks_off_is_known_to_be_short(reach: Reach) -> None:
    """A client that leaves in the middle of its upload never looks like one that finished."""
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def broken() -> AsyncIterator[bytes]:
        yield CHUNK
        await asyncio.sleep(0.05)
        raise BodyAborted("the client left")

    async def answer(request: Request) -> Response:
        try:
            await read_all(request.body, 1 << 20)
        except (BodyAborted, asyncio.CancelledError):
            outcome.set_result("short")
            raise
        outcome.set_result("whole")
        return Response(200)

    handler = await reach(FunctionHandler(answer))
    try:
        await handler.handle(make_request("POST", PulledBody(broken())))
    except BodyAborted:
        assert await asyncio.wait_for(outcome, SECONDS) == "short"
        return
    raise AssertionError("the upload's failure was not told")


async def an_answer_may_come_before_the_upload(reach: Reach) -> None:
    """A refusal reaches the client though nobody reads its body."""
    upload = PulledBody(_chunks(100_000))

    async def answer(request: Request) -> Response:
        return Response.text(413, "too large")

    response = await (await reach(FunctionHandler(answer))).handle(make_request("POST", upload))
    assert (response.status, await read_all(response.body, 100)) == (413, b"too large")
    await asyncio.sleep(0.05)
    assert upload.pulled < BUFFERED


async def an_upload_that_is_given_up_is_still_answered(reach: Reach) -> None:
    """Who closes the body and then thinks about the answer is not taken for one that gives none."""
    upload = PulledBody(_chunks(100_000))

    async def answer(request: Request) -> Response:
        assert not isinstance(request.body, bytes)
        await request.body.__anext__()
        await request.body.aclose()
        for _ in range(5):
            await asyncio.sleep(0.01)
        raise HttpError(502, "the upstream is gone")

    try:
        await (await reach(FunctionHandler(answer))).handle(make_request("POST", upload))
    except HttpError as error:
        came_back = error
    else:
        raise AssertionError("no error came back")
    assert (came_back.status, came_back.reason) == (502, "the upstream is gone")


async def a_tunnel_carries_both_directions(reach: Reach) -> None:
    """An upgrade gives two byte streams, each ended on its own."""

    async def echo(stream: ByteStream) -> None:
        while data := await stream.read():
            await stream.write(data.upper())
        await stream.write(b"bye")
        await stream.write_end()

    async def answer(request: Request) -> Response:
        assert request.upgrade == "websocket"
        headers = Headers([(b"sec-websocket-protocol", b"chat")])
        return Response(101, headers, upgrade=echo)

    request = make_request()
    request.upgrade = "websocket"
    response = await (await reach(FunctionHandler(answer))).handle(request)
    assert response.status == 101
    assert response.headers.get(b"sec-websocket-protocol") == b"chat"
    assert response.upgrade is not None
    client = MemoryStream([b"hello ", b"world"])
    async with asyncio.timeout(SECONDS):
        await response.upgrade(client)
    assert b"".join(client.written) == b"HELLO WORLDbye"
    assert client.is_ended


async def a_refused_upgrade_is_a_plain_response(reach: Reach) -> None:
    """A handler need not switch, whatever its status."""

    async def answer(request: Request) -> Response:
        return Response.text(int(request.query or ""), "not you")

    handler = await reach(FunctionHandler(answer))
    for status in (200, 403):
        request = make_request()
        request.upgrade, request.query = "websocket", str(status)
        response = await handler.handle(request)
        assert (response.status, response.upgrade) == (status, None)
        assert await read_all(response.body, 100) == b"not you"


async def an_abort_stays_an_abort(reach: Reach) -> None:
    """A handler that wants the connection cut gets it cut."""

    async def answer(request: Request) -> Response:
        return Response(200, abort=True)

    assert (await (await reach(FunctionHandler(answer))).handle(make_request())).abort


class MemoryStream:
    """A client's side of a tunnel: says what it was given, then ends, and notes what it hears."""

    def __init__(self, says: list[bytes]) -> None:
        self._says = list(says)
        self.written: list[bytes] = []
        self.is_ended = False
        self.is_aborted = False

    async def read(self) -> bytes:
        """Return the next piece, b"" when there is none left."""
        await asyncio.sleep(0)
        return self._says.pop(0) if self._says else b""

    async def write(self, data: bytes) -> None:
        """Note ``data``."""
        self.written.append(data)

    async def write_end(self) -> None:
        """Note the end."""
        self.is_ended = True

    def abort(self) -> None:
        """Note the cut."""
        self.is_aborted = True


HANDLER_CHECKS: list[Callable[[Reach], Awaitable[None]]] = [
    the_request_arrives_as_it_was,
    odd_targets_and_methods_arrive,
    the_response_arrives_as_it_was,
    an_error_arrives_as_an_error,
    a_long_body_in_memory_keeps_its_length,
    an_answer_to_head_keeps_its_length,
    informational_responses_come_first,
    bodies_stream_both_ways_with_trailers,
    a_slow_reader_stops_the_producer,
    a_slow_handler_stops_the_upload,
    a_cancelled_request_cancels_the_handler,
    closing_a_response_closes_its_source,
    a_body_that_breaks_off_is_known_to_be_short,
    an_upload_that_breaks_off_is_known_to_be_short,
    an_answer_may_come_before_the_upload,
    an_upload_that_is_given_up_is_still_answered,
    a_tunnel_carries_both_directions,
    a_refused_upgrade_is_a_plain_response,
    an_abort_stays_an_abort,
]
