"""HTTP/2 for clients: what a request may be, and what becomes of those who abuse it."""

import asyncio
from types import SimpleNamespace

import pytest

from quantum.errors import HttpError
from quantum.http.body import StreamBody, read_all
from quantum.http.failure import response_of
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Response
from quantum.wire.h2 import CANCEL, H2Codec, H2Settings
from services.edge.protocols import h2
from services.edge.protocols.h1_head import Stamps
from services.edge.protocols.h2 import STALLED_SECONDS, H2Connection
from services.edge.protocols.host import Limits, Site
from tests.unit.quantum.connection.wire import MemoryTransport, settle
from tests.unit.quantum.wire.test_h2 import GET, POST, Recorder, body_of, kinds

FACTS = ConnectionFacts(("192.0.2.1", 1), ("192.0.2.2", 443), "https")
LIMITS = Limits(max_head_bytes=1 << 20, header=10, idle=60)


class World:
    """A client's codec, the connection, and an entrypoint that remembers."""

    def __init__(self, handle, before=None, client=H2Settings()):  # noqa: B008
        self.loop = asyncio.get_running_loop()
        self.exchanges, self.members, self.watched, self.reached = [], set(), [], []
        self.host = SimpleNamespace(
            loop=self.loop,
            site=Site("srv0", handle, self._fail, LIMITS, before, self.exchanges.append),
            stamps=Stamps(),
            deadlines=SimpleNamespace(watch=self.watched.append),
            is_draining=False,
            joined=self.members.add,
            left=self.members.discard,
            reached=lambda limit, _peer="": self.reached.append(limit),
        )
        self.hears = Recorder()
        self.codec = self.hears.codec = H2Codec("client", client, self.hears)
        self.connection = H2Connection(self.host, FACTS)
        self.transport = MemoryTransport(self.loop)
        self.transport.own, self.transport.peer = self.connection, self
        self.transport.other = SimpleNamespace(is_closed=False, close=lambda: None)
        self.connection.connection_made(self.transport)

    def eof_received(self):
        self.transport.close()  # as a client does that is told of the end
        return True

    @staticmethod
    async def _fail(request, error):
        return response_of(error, request)

    def data_received(self, data):
        self.codec.receive(data)

    async def shake(self):
        for _ in range(8):
            data = self.codec.take_output(1 << 20)
            if data and not self.transport.is_closed:
                self.connection.data_received(data)
            await settle(5)

    async def ask(self, fields, body=None):
        stream = self.codec.request(fields, body is None)
        if body is not None:
            self.codec.send_data(stream, body, True)
        await self.shake()
        heard = [h for h in self.hears.take() if h[1:2] == (stream,)]
        head = next((dict(h[2]) for h in heard if h[0] == "response"), None)
        return head, b"".join(h[2] for h in heard if h[0] == "bytes"), heard


async def echo(request):
    text = f"{request.method} {request.authority} {request.path} {request.query} {request.version}"
    body = await read_all(request.body, 1 << 20)
    return Response.text(200, f"{text} {request.headers.fields} {body!r}")


async def test_a_request_is_the_same_as_of_any_version():
    world = World(echo)
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"example.com:8443"),
              (b":path", b"/a%20b?x=1"), (b"x-a", b"1")]  # fmt: skip
    head, body, _ = await world.ask(fields, b"hi")
    assert body == b"POST example.com:8443 /a%20b x=1 HTTP/2.0 [(b'x-a', b'1')] b'hi'"
    assert head[b"content-length"] == b"%d" % len(body)
    assert head[b"server"] == b"Quantum"
    assert head[b"date"].endswith(b"GMT")
    (exchange,) = world.exchanges
    assert (exchange.status, exchange.sent) == (200, len(body))
    assert exchange.request.scheme == "https", "the connection says it, not the client"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*GET, (b"host", b"a")], 200),
        ([*GET, (b"host", b"b")], 400),
        ([*GET[:2], GET[3], (b"host", b"a")], 200),
        ([*GET[:2], GET[3]], None),
        ([*GET[:3], (b":path", b"/a#b")], 400),
        ([*GET[:3], (b":path", b"/%zz")], 400),
        ([*GET[:3], (b":path", b"/%00")], 400),
        ([*GET[:3], (b":path", b"/" + b"a" * 9000)], 414),
        ([*GET, *[(b"x-%d" % n, b"1") for n in range(100)]], 431),
        ([*GET, *[(b"cookie", b"a") for _ in range(100)]], 431),
        ([*GET, (b"x", b"v" * 70_000)], 431),
        ([*GET, (b"expect", b"miracles")], 417),
        ([(b":method", b"CONNECT"), (b":authority", b"a:1")], 405),
        ([(b":method", b"OPTIONS"), *GET[1:3], (b":path", b"*")], 200),
    ],
)
async def test_what_is_refused_gets_its_status_and_the_connection_goes_on(fields, status):
    world = World(echo, client=H2Settings(field_bytes=1 << 20))
    head, _, heard = await world.ask(fields)
    if status is None:
        assert heard[-1][0] == "closed"
    else:
        assert head[b":status"] == b"%d" % status
    assert (await world.ask(GET))[0][b":status"] == b"200"


async def test_cookie_crumbs_are_one_cookie_and_confusing_names_end_here():
    world = World(echo)
    crumbs = [(b"cookie", b"a=1"), (b"x_a", b"1"), (b"x.a", b"1"), (b"cookie", b"b=2")]
    _, body, _ = await world.ask([*GET, *crumbs])
    assert body.endswith(b"[(b'cookie', b'a=1; b=2')] b''")


EXPECTING = [*POST, (b"expect", b"100-continue")]


async def test_a_client_that_waits_for_100_is_asked_when_the_body_is_wanted():
    world = World(echo)
    stream = world.codec.request(EXPECTING, False)
    await world.shake()
    assert [h[0] for h in world.hears.take() if h[1:2] == (stream,)] == ["informational"]
    world.codec.send_data(stream, b"x", True)
    await world.shake()
    assert "response" in [h[0] for h in world.hears.take()]


async def test_a_client_that_did_not_wait_for_100_is_not_asked():
    _, body, heard = await World(echo).ask(EXPECTING, b"x")
    assert body.endswith(b"b'x'")
    assert "informational" not in [h[0] for h in heard]


async def test_a_client_that_waits_for_100_and_is_refused_keeps_its_body():
    async def refuse(request):
        return Response.text(403, "no")

    world = World(refuse)
    world.codec.request(EXPECTING, False)
    await world.shake()
    heard = [h[0] for h in world.hears.take()]
    assert "response" in heard
    assert "informational" not in heard


async def test_before_may_refuse_and_is_answered_by_the_site():
    def before(request):
        raise HttpError(421)

    assert (await World(echo, before).ask(GET))[0][b":status"] == b"421"


async def test_a_response_that_could_split_is_never_sent():
    async def handle(request):
        return Response(200, Headers([(b"x", b"a\r\nb: c")]))

    assert (await World(handle).ask(GET))[0][b":status"] == b"500"


async def test_an_answer_to_head_has_the_length_and_no_body():
    async def handle(request):
        return Response.text(200, "hello")

    head, body, _ = await World(handle).ask([(b":method", b"HEAD"), *GET[1:]])
    assert (head[b"content-length"], body) == (b"5", b"")


async def test_a_websocket_is_a_tunnel_and_a_plain_answer_to_one_is_no_success():
    async def shout(stream):
        await stream.write((await stream.read()).upper())

    async def handle(request):
        assert (request.method, request.upgrade) == ("GET", "websocket")
        return Response(
            101 if request.path == "/" else 200, upgrade=shout if request.path == "/" else None
        )

    world = World(handle)
    connect = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]
    stream = world.codec.request(connect, False)
    world.codec.send_data(stream, b"ping")
    await world.shake()
    heard = world.hears.take()
    assert body_of(heard) == b"PING"
    assert next(dict(h[2]) for h in heard if h[0] == "response")[b":status"] == b"200"
    plain = world.codec.request([*connect[:-1], (b":path", b"/x")], False)
    await world.shake()
    answered = next(dict(h[2]) for h in world.hears.take() if h[:2] == ("response", plain))
    assert answered[b":status"] == b"501"


async def test_a_client_that_leaves_cancels_its_handler_and_is_logged_as_499():
    cancelled = asyncio.Event()

    async def handle(request):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    world = World(handle)
    stream = world.codec.request(GET, True)
    await world.shake()
    world.codec.reset(stream, CANCEL)
    await world.shake()
    assert cancelled.is_set()
    assert [e.status for e in world.exchanges] == [499]


@pytest.fixture
def cut_at_once(monkeypatch):
    """Who floods is cut as soon as it was told."""
    monkeypatch.setattr(h2, "FLOOD_SECONDS", 0)


@pytest.mark.usefixtures("cut_at_once")
async def test_rapid_reset_ends_the_connection_before_the_handlers_notice_much():
    begun = []

    async def handle(request):
        begun.append(request)
        await asyncio.sleep(60)

    world = World(handle)
    for _ in range(1000):
        stream = world.codec.request(GET, True)
        await world.shake()
        world.codec.reset(stream, CANCEL)
        await world.shake()
        if world.transport.is_closed:
            break
    assert world.transport.is_closed
    assert len(begun) <= 210
    assert world.members == set()


async def test_who_floods_is_told_and_not_read_any_more():
    world = World(echo)
    await world.shake()
    ping = bytes.fromhex("000008060000000000") + bytes(8)
    world.connection.data_received(ping * 600)
    await world.shake()
    assert world.hears.take()[-1] == ("connection closed",)
    assert not world.transport.is_reading
    assert not world.transport.is_closed
    assert world.reached == ["h2_frames"]


@pytest.mark.usefixtures("cut_at_once")
async def test_resets_that_a_client_provokes_count_as_its_own():
    world = World(echo)
    for _ in range(300):
        if world.transport.is_closed:
            break
        await world.ask([*POST, (b"content-length", b"5")], b"x")  # MadeYouReset
    assert world.transport.is_closed


async def test_a_client_that_takes_nothing_is_cut():
    async def handle(request):
        return Response(200, body=b"x" * 200_000)

    world = World(handle, client=H2Settings(stream_window=0))
    for _ in range(5):
        world.codec.request(GET, True)
    await world.shake()
    world.codec.ping()  # noise is no progress
    world.connection.on_deadline()
    await world.shake()
    assert not world.connection.is_closed
    world.connection._moved_at -= STALLED_SECONDS + 1
    world.connection.on_deadline()
    await world.shake()
    assert world.reached == ["h2_stalled"]
    assert world.transport.is_closed


async def test_a_client_that_takes_slowly_is_not_cut():
    async def handle(request):
        return Response(200, body=b"x" * 200_000)

    world = World(handle, client=H2Settings(stream_window=1000))
    world.hears.consumes = False
    stream = world.codec.request(GET, True)
    await world.shake()
    for _ in range(6):
        world.connection._moved_at -= STALLED_SECONDS + 1
        world.connection.on_deadline()
        world.codec.consumed(stream, 600)
        await world.shake()
    assert not world.transport.is_closed


async def test_an_idle_connection_is_closed_politely():
    world = World(echo)
    await world.ask(GET)
    world.connection.on_deadline()
    assert not world.transport.is_closed
    world.connection._idle_since -= LIMITS.idle
    world.connection.on_deadline()
    await asyncio.sleep(0.15)
    await world.shake()
    assert kinds(world.hears.take()) == ["goaway", "connection closed"]
    assert world.transport.is_closed


async def test_a_drain_finishes_what_runs():
    body = StreamBody()

    async def handle(request):
        return Response(200, body=body)

    world = World(handle)
    world.codec.request(GET, True)
    await world.shake()
    world.connection.drain()
    await asyncio.sleep(0.15)
    await world.shake()
    assert not world.transport.is_closed
    body.feed(b"the rest")
    body.finish()
    await world.shake()
    assert body_of(world.hears.take()) == b"the rest"
    assert world.transport.is_closed


async def test_a_shared_answer_is_spelled_once_and_still_tells_the_time():
    shared = Response.text(200, "same")

    async def handle(request):
        return shared

    world = World(handle)
    first, _, _ = await world.ask(GET)
    world.host.stamps.date = b"\r\nDate: Thu, 01 Jan 2099 00:00:00 GMT"
    assert (await world.ask(GET))[0] == first
    world.host.stamps.heads.clear()  # as the ticker does with every second
    later, body, _ = await world.ask(GET)
    assert later[b"date"] == b"Thu, 01 Jan 2099 00:00:00 GMT"
    assert body == b"same"


async def test_targets_and_hosts_that_are_refused_stay_refused():
    world = World(echo)
    for _ in range(2):
        assert (await world.ask(with_path(b"/a%00b")))[0][b":status"] == b"400"
        assert (await world.ask(with_path(b"/good?q=1")))[0][b":status"] == b"200"


def with_path(path):
    return [(name, path if name == b":path" else value) for name, value in GET]
