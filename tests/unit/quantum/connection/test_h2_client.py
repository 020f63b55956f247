"""The HTTP/2 client: streams, their limits, and what is known of requests that fail."""

import asyncio

import pytest

from quantum.connection import h2_client
from quantum.connection.h2_client import H2Client, RequestFailed
from quantum.connection.h2_server import H2Server
from quantum.errors import BodyAborted, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.wire.h2 import H2Settings
from tests.unit.quantum.connection.wire import join, settle

FACTS = ConnectionFacts(("", 0), ("", 0), "http")
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]


class Application:
    """Serves one handler, plainly."""

    def __init__(self, handle):
        self.handle = handle
        self.over = []

    def accept(self, fields, body):
        pseudo = {n: v.decode() for n, v in fields}
        request = Request(
            pseudo[b":method"], "http", "a", pseudo[b":path"], None, Headers(), body, FACTS
        )
        return request, self.handle

    def head(self, request, response):
        return [(b":status", b"%d" % response.status), *response.headers.fields]

    def failed(self, request, error):
        return Response(error.status)

    def ended(self, request, response, sent):
        self.over.append((response and response.status, sent))


async def connect(handle, settings=H2Settings(), silence=h2_client.PING_SECONDS):  # noqa: B008
    loop = asyncio.get_running_loop()
    client = H2Client(H2Settings(), loop, silence=silence)
    server = H2Server(Application(handle), settings, loop)
    client.wire, server.wire = join(client, server)
    await client.ready()
    return client, server


async def ok(request):
    return Response.text(200, "fine")


def ends(release, counter=None):
    async def handle(request):
        if counter is not None:
            counter.append(request.path)
        await release.wait()
        return Response(200)

    return handle


async def test_a_small_answer_comes_back_as_bytes():
    client, server = await connect(ok)
    answer = await client.request(GET)
    assert (answer.fields[0], answer.body) == ((b":status", b"200"), b"fine")
    await settle()
    assert server.application.over == [(200, 4)]
    assert client.open_streams == server.open_streams == 0


async def test_a_small_upload_arrives_as_bytes():
    async def handle(request):
        return Response.text(200, type(request.body).__name__)

    client, _ = await connect(handle)
    assert (await client.request(POST, b"all at once")).body == b"bytes"


async def test_requests_beyond_the_peers_limit_wait_in_line():
    release, begun = asyncio.Event(), []
    client, _ = await connect(ends(release, begun), H2Settings(max_streams=3))
    paths = [f"/{n}" for n in range(10)]
    running = asyncio.gather(*(client.request([*GET[:3], (b":path", p.encode())]) for p in paths))
    await settle()
    assert begun == paths[:3]
    release.set()
    await running
    assert begun == paths


async def test_who_is_cancelled_in_line_gives_its_place_away():
    release, begun = asyncio.Event(), []
    client, _ = await connect(ends(release, begun), H2Settings(max_streams=1))
    tasks = [asyncio.ensure_future(client.request(GET)) for _ in range(3)]
    await settle()
    tasks[1].cancel()
    await settle()
    release.set()
    await asyncio.wait_for(tasks[2], 5)
    assert len(begun) == 2
    assert client.open_streams == 0


async def test_a_deadline_counts_while_waiting_in_line():
    client, _ = await connect(ends(asyncio.Event()), H2Settings(max_streams=1))
    first = asyncio.ensure_future(client.request(GET))
    await settle()
    with pytest.raises(TimeoutError):
        await client.request(GET, deadline=client.loop.time() + 0.01)
    first.cancel()
    await settle()


async def test_a_lost_connection_may_have_processed_what_was_sent_and_not_what_waited():
    client, _ = await connect(ends(asyncio.Event()), H2Settings(max_streams=1))
    sent, waited = [asyncio.ensure_future(client.request(GET)) for _ in range(2)]
    await settle()
    client.wire.abort()
    failures = await asyncio.gather(sent, waited, return_exceptions=True)
    assert [f.was_processed for f in failures] == [True, False]
    with pytest.raises(RequestFailed) as raised:
        await client.request(GET)
    assert not raised.value.was_processed


async def test_a_server_that_leaves_finishes_what_it_took_and_refuses_the_rest():
    release = asyncio.Event()
    client, server = await connect(ends(release))
    taken = asyncio.ensure_future(client.request(GET))
    await settle()
    server.drain()
    await settle()
    assert not client.is_usable
    with pytest.raises(RequestFailed) as raised:
        await client.request(GET)
    assert not raised.value.was_processed
    release.set()
    assert (await taken).fields == ((b":status", b"200"),)
    await asyncio.sleep(h2_client.PING_SECONDS / 60)
    assert client.is_lost
    assert server.is_lost


async def test_a_peer_that_falls_silent_is_given_up():
    client, _ = await connect(ends(asyncio.Event()), silence=0.02)
    waiting = asyncio.ensure_future(client.request(GET))
    await asyncio.sleep(0.1)
    assert not waiting.done(), "answered pings keep a quiet connection"
    client.wire.is_held = client.wire.other.is_held = True
    with pytest.raises(RequestFailed, match="no sign of life"):
        await asyncio.wait_for(waiting, 5)


async def test_a_handler_that_fails_after_its_head_cuts_the_body():
    async def handle(request):
        body = StreamBody()
        body.feed(b"some")
        asyncio.get_running_loop().call_later(0.01, body.fail, BodyAborted("broke"))
        return Response(200, body=body)

    client, _ = await connect(handle)
    answer = await client.request(GET)
    with pytest.raises(BodyAborted):
        await read_all(answer.body, 100)


async def test_a_body_that_is_cut_in_the_same_read_as_its_head_fails_for_its_reader():
    body = StreamBody(10)
    body.fail(BodyAborted("the origin is gone"))

    async def handle(request):
        return Response(200, body=body)

    client, server = await connect(handle)
    written = []
    server.wire.write = written.append
    asked = asyncio.ensure_future(client.request(GET))
    await settle()
    client.data_received(b"".join(written))
    answer = await asked
    with pytest.raises(BodyAborted):
        async with asyncio.timeout(20):
            await read_all(answer.body, 100)


async def test_an_error_before_the_head_is_a_plain_status():
    async def handle(request):
        if request.path == "/":
            raise HttpError(404)
        raise RuntimeError("a defect")

    client, _ = await connect(handle)
    assert (await client.request(GET)).fields[0] == (b":status", b"404")
    other = await client.request([*GET[:3], (b":path", b"/x")])
    assert other.fields[0] == (b":status", b"500")


async def test_a_tunnel_carries_bytes_until_both_sides_end():
    async def echo(stream):
        while data := await stream.read():
            await stream.write(data)

    async def handle(request):
        return Response(200, upgrade=echo)

    client, server = await connect(handle)
    connect_fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]
    _, tunnel = await client.connect(connect_fields)
    await tunnel.write(b"ping")
    assert await tunnel.read() == b"ping"
    await tunnel.write_end()
    assert await tunnel.read() == b""
    await settle()
    assert client.open_streams == server.open_streams == 0


async def test_a_server_that_offers_no_tunnels_is_not_asked_for_one():
    client, _ = await connect(ok, H2Settings(extended_connect=False))
    with pytest.raises(RequestFailed):
        await client.connect([(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]])


async def test_thousands_of_resets_by_an_unfriendly_server_leave_nothing_behind():
    async def handle(request):
        return Response(200, abort=True)

    client, server = await connect(handle, H2Settings(resets=(10**6, 10**6)))
    outcomes = await asyncio.gather(
        *(client.request(GET) for _ in range(2000)), return_exceptions=True
    )
    assert all(isinstance(o, RequestFailed) and o.was_processed for o in outcomes)
    assert client.open_streams == server.open_streams == 0


@pytest.mark.parametrize("later", [b"", b"and a stream"])
async def test_who_gives_a_body_up_before_it_answers_is_heard_nevertheless(later):
    class Pieces:
        length = trailers = None

        def __init__(self):
            self.left = [later] if later else []

        def __aiter__(self):
            return self

        async def __anext__(self):
            await asyncio.sleep(0)
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

        async def aclose(self): ...

    async def handle(request):
        await request.body.aclose()
        await settle()
        return Response(413, body=Pieces() if later else b"too much")

    client, server = await connect(handle)
    endless = StreamBody()
    endless.feed(b"some")
    answer = await client.request(POST, endless)
    assert answer.fields[0] == (b":status", b"413")
    assert await read_all(answer.body, 100) == (later or b"too much")
    await settle()
    assert server.open_streams == 0  # and what is left of the body is stopped
