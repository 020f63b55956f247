"""HTTP/3 over real UDP against aioquic's own client: messages, back-pressure, cuts, drain, limits."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.tasks import TaskSet
from quantum.testing.certificates import make_certificates
from services.edge.protocols.h3 import endpoint as endpoint_module
from services.edge.protocols.h3.endpoint import H3Endpoint, H3Settings
from services.edge.protocols.h3.quic import CONNECTION_WINDOW, STREAM_WINDOW, QuicCertificate


class Application:
    """The least that turns heads into messages."""

    def __init__(self, handle) -> None:
        self.handle = handle

    def accept(self, fields, body):
        pseudo = {n.decode(): v.decode() for n, v in fields if n.startswith(b":")}
        facts = ConnectionFacts(("127.0.0.1", 1), ("127.0.0.1", 2), "https")
        plain = Headers([f for f in fields if not f[0].startswith(b":")])
        request = Request(
            pseudo[":method"], "https", pseudo.get(":authority", ""), pseudo[":path"], None, plain,
            body, facts, "HTTP/3.0", upgrade=pseudo.get(":protocol"),
        )  # fmt: skip
        return request, self.handle

    def head(self, request, response):
        status = 200 if response.upgrade is not None else response.status
        return [(b":status", b"%d" % status), *response.headers.fields]

    def failed(self, request, error):
        return Response(error.status)

    def ended(self, request, response, sent):
        pass


class Client(QuicConnectionProtocol):
    """Collects what each stream received."""

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.heads: dict[int, list[dict]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.resets: dict[int, int] = {}
        self.ended: dict[int, asyncio.Event] = {}
        self.terminated: ConnectionTerminated | None = None

    def quic_event_received(self, event) -> None:
        if isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
            self.end_of(event.stream_id).set()
        if isinstance(event, ConnectionTerminated):
            self.terminated = event
            for ended in self.ended.values():
                ended.set()
        for happened in self.http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                self.heads.setdefault(happened.stream_id, []).append(dict(happened.headers))
            elif isinstance(happened, DataReceived):
                self.bodies.setdefault(happened.stream_id, bytearray()).extend(happened.data)
            if happened.stream_ended:
                self.end_of(happened.stream_id).set()

    def end_of(self, stream: int) -> asyncio.Event:
        return self.ended.setdefault(stream, asyncio.Event())

    def start(self, path: str, body: bytes | None = None, *extra, ended=True, **pseudo) -> int:
        stream = self._quic.get_next_available_stream_id()
        fields = [
            (b":method", pseudo.get("method", "POST" if body is not None else "GET").encode()),
            (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path.encode()), *extra,
        ]  # fmt: skip
        self.http.send_headers(stream, fields, end_stream=body is None and ended)
        if body is not None:
            self.http.send_data(stream, body, end_stream=ended)
        self.transmit()
        return stream

    async def fetch(self, path: str, body: bytes | None = None, *extra) -> tuple[int, bytes]:
        stream = self.start(path, body, *extra)
        await asyncio.wait_for(self.end_of(stream).wait(), 20)
        assert stream not in self.resets
        return int(self.heads[stream][-1][b":status"]), bytes(self.bodies.get(stream, b""))


@pytest.fixture
def certificate(tmp_path) -> QuicCertificate:
    chain, key, _ = make_certificates(tmp_path, ["localhost"])
    leaf, *rest = load_pem_x509_certificates(chain.read_bytes())
    return QuicCertificate(leaf, rest, load_pem_private_key(key.read_bytes(), None))


class Host:
    """An entrypoint that answers with one handler."""

    def __init__(self, certificate, handle) -> None:
        self.certificate = certificate
        self.handle = handle
        self.later = None
        self.open = 0
        self.failures: list[str] = []
        self.limits: list[str] = []
        self.clients: list[str] = []
        self.most_of_client = 100

    def settings(self) -> H3Settings:
        return H3Settings(field_bytes=16384, idle_timeout=10)

    def find_certificate(self, name, local_ip):
        return self.certificate

    async def obtain_certificate(self, name, local_ip):
        await asyncio.sleep(0.1)
        return self.later

    def application(self, connection):
        return Application(self.handle)

    def enter(self) -> bool:
        self.open += 1
        return True

    def left(self) -> None:
        self.open -= 1

    def enter_client(self, ip) -> bool:
        self.clients.append(ip)
        return len(self.clients) <= self.most_of_client

    def leave_client(self, ip) -> None:
        self.clients.remove(ip)

    def handshake_failed(self, reason) -> None:
        self.failures.append(reason)

    def reached(self, limit, peer) -> None:
        self.limits.append(limit)


@asynccontextmanager
async def serving(certificate, handle) -> AsyncIterator[H3Endpoint]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    tasks = TaskSet("test")
    endpoint = H3Endpoint(sock, Host(certificate, handle), tasks, asyncio.get_running_loop())
    endpoint.port = sock.getsockname()[1]
    try:
        yield endpoint
    finally:
        endpoint.close()
        await tasks.aclose()
        await asyncio.sleep(0)
        assert endpoint.host.open == 0
        assert endpoint.host.clients == []


@asynccontextmanager
async def client(endpoint, **options) -> AsyncIterator[Client]:
    configuration = QuicConfiguration(
        alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE, server_name="localhost", **options
    )
    async with connect(
        "127.0.0.1", endpoint.port, configuration=configuration, create_protocol=Client
    ) as connected:
        yield connected


async def hello(request: Request) -> Response:
    return Response.text(200, f"hello {request.path}")


async def echo(request: Request) -> Response:
    return Response(200, body=request.body)


async def test_a_request_is_answered(certificate) -> None:
    async with serving(certificate, hello) as endpoint, client(endpoint) as peer:
        assert await peer.fetch("/a") == (200, b"hello /a")
        answers = await asyncio.gather(*(peer.fetch(f"/{n}") for n in range(50)))
    assert answers == [(200, f"hello /{n}".encode()) for n in range(50)]


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_bodies_pass_both_ways_unchanged(certificate, size) -> None:
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    async with serving(certificate, echo) as endpoint, client(endpoint) as peer:
        status, back = await peer.fetch("/", body)
    assert (status, hashlib.sha256(back).digest()) == (200, hashlib.sha256(body).digest())


async def test_a_handler_that_does_not_read_holds_the_sender_back(certificate) -> None:
    go_on = asyncio.Event()
    held: list[int] = []

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.5)
        held.append(request.body.buffered)
        go_on.set()
        total = 0
        async for chunk in request.body:
            total += len(chunk)
        return Response.text(200, str(total))

    async with serving(certificate, slow) as endpoint, client(endpoint) as peer:
        assert await peer.fetch("/", b"x" * 4_000_000) == (200, b"4000000")
    assert 0 < held[0] <= 256 * 1024


async def test_a_client_that_does_not_read_stops_the_body(certificate) -> None:
    produced = []

    class Endless:
        length = trailers = None

        def __aiter__(self):
            return self

        async def __anext__(self) -> bytes:
            produced.append(1)
            return b"x" * 65536

        async def aclose(self) -> None:
            produced.append(-1)

    async def handle(request: Request) -> Response:
        return Response(200, body=Endless())

    async with serving(certificate, handle) as endpoint:
        async with client(endpoint, max_stream_data=65536, max_data=65536) as peer:
            peer._quic._write_stream_limits = lambda *_, **__: None
            peer._quic._write_connection_limits = lambda *_, **__: None
            peer.start("/")
            await asyncio.sleep(0.5)
            assert 1 <= len(produced) <= 8
        await asyncio.sleep(0.1)
    assert produced[-1] == -1  # the body was closed when the client went


async def test_a_client_that_wants_no_answer_cancels_the_handler(certificate) -> None:
    cancelled = asyncio.Event()

    async def handle(request: Request) -> Response:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    async with serving(certificate, handle) as endpoint, client(endpoint) as peer:
        stream = peer.start("/")
        await asyncio.sleep(0.1)
        peer._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        peer.transmit()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_client_that_is_told_to_stop_its_upload_still_hears_the_answer(certificate) -> None:
    async def refuse(request: Request) -> Response:
        await request.body.aclose()  # STOP_SENDING, which a client answers with RESET_STREAM
        await asyncio.sleep(0.2)
        return Response.text(413, "too much")

    async with serving(certificate, refuse) as endpoint, client(endpoint) as peer:
        stream = peer.start("/", b"some", ended=False)
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
        assert stream not in peer.resets
        assert peer.heads[stream][0][b":status"] == b"413"


async def test_a_body_that_fails_resets_the_stream_and_never_ends_it(certificate) -> None:
    class Broken:
        length = trailers = None

        def __init__(self) -> None:
            self.sent = False

        def __aiter__(self):
            return self

        async def __anext__(self) -> bytes:
            if self.sent:
                raise RuntimeError("the disk is on fire")
            self.sent = True
            return b"half"

        async def aclose(self) -> None: ...

    async def handle(request: Request) -> Response:
        return Response(200, body=Broken())

    async with serving(certificate, handle) as endpoint, client(endpoint) as peer:
        stream = peer.start("/")
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
    assert peer.resets[stream] == ErrorCode.H3_INTERNAL_ERROR


async def test_trailers_arrive_after_a_body(certificate) -> None:
    async def handle(request: Request) -> Response:
        async for _ in request.body:
            pass
        return Response.text(200, request.body.trailers.get(b"sum", b"none").decode())

    async with serving(certificate, handle) as endpoint, client(endpoint) as peer:
        stream = peer.start("/", b"body", ended=False)
        peer.http.send_headers(stream, [(b"sum", b"abc")], end_stream=True)
        peer.transmit()
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
    assert bytes(peer.bodies[stream]) == b"abc"


async def test_a_tunnel_carries_bytes_both_ways(certificate) -> None:
    async def handle(request: Request) -> Response:
        assert (request.upgrade, request.body) == ("websocket", b"")

        async def run(stream) -> None:
            while data := await stream.read():
                await stream.write(data.upper())
            await stream.write_end()

        return Response(101, upgrade=run)

    async with serving(certificate, handle) as endpoint, client(endpoint) as peer:
        stream = peer.start("/", None, (b":protocol", b"websocket"), ended=False, method="CONNECT")
        peer.http.send_data(stream, b"hello", end_stream=True)
        peer.transmit()
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
    assert peer.heads[stream][0][b":status"] == b"200"
    assert bytes(peer.bodies[stream]) == b"HELLO"


async def test_a_head_that_is_too_large_is_refused_and_the_connection_lives(certificate) -> None:
    async with serving(certificate, hello) as endpoint, client(endpoint) as peer:
        stream = peer.start("/", None, (b"cookie", b"crumb" * 8_000))
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
        assert peer.heads[stream][0][b":status"] == b"431"
        assert await peer.fetch("/") == (200, b"hello /")


async def test_a_flood_of_cut_requests_ends_the_connection(certificate) -> None:
    async def wait(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response(200)

    async with serving(certificate, wait) as endpoint, client(endpoint) as peer:
        for _ in range(300):
            if peer.terminated is not None:
                break
            stream = peer.start("/")
            peer._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
            peer._quic.reset_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
            peer.transmit()
            await asyncio.sleep(0.001)
        await asyncio.wait_for(peer.wait_closed(), 5)
    assert peer.terminated.error_code == ErrorCode.H3_EXCESSIVE_LOAD


async def test_drain_finishes_what_is_under_way_and_refuses_the_rest(certificate) -> None:
    go_on = asyncio.Event()

    async def wait(request: Request) -> Response:
        await go_on.wait()
        return Response.text(200, "finished")

    async with serving(certificate, wait) as endpoint, client(endpoint) as peer:
        stream = peer.start("/")
        await asyncio.sleep(0.1)
        draining = asyncio.get_running_loop().create_task(endpoint.aclose(5))
        await asyncio.sleep(0.3)
        late = peer.start("/late")
        await asyncio.wait_for(peer.end_of(late).wait(), 5)
        assert peer.resets[late] == ErrorCode.H3_REQUEST_REJECTED
        go_on.set()
        await asyncio.wait_for(peer.end_of(stream).wait(), 5)
        assert bytes(peer.bodies[stream]) == b"finished"
        await asyncio.wait_for(draining, 8)


async def test_a_name_without_certificate_is_refused_with_its_alert(certificate) -> None:
    async with serving(None, hello) as endpoint:
        with pytest.raises(ConnectionError):
            async with client(endpoint):
                pass
        async with asyncio.timeout(10):
            while not endpoint.host.failures:
                await asyncio.sleep(0.05)
        assert endpoint.host.failures == ["other"]


async def test_a_handshake_waits_for_a_certificate_that_is_being_fetched(certificate) -> None:
    async with serving(None, hello) as endpoint:
        endpoint.host.later = certificate
        async with client(endpoint) as peer:
            assert await peer.fetch("/") == (200, b"hello /")


async def test_datagrams_that_are_no_quic_leave_nothing_behind(certificate) -> None:
    async with serving(certificate, hello) as endpoint:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", endpoint.port))
            for first in (b"\xc3\0\0\0\1\x08", b"\xc3\0\0\0\1\x14", b"\x40", b"\xc0", b""):
                sock.send(first + b"\0" * 1300)
        await asyncio.sleep(0.1)
        assert len(endpoint) == 0
        async with client(endpoint) as peer:
            assert await peer.fetch("/") == (200, b"hello /")


async def test_newcomers_must_prove_their_address_when_many_are_half_open(
    certificate, monkeypatch
) -> None:
    monkeypatch.setattr(endpoint_module, "HALF_OPEN_LIMIT", 0)
    async with serving(certificate, hello) as endpoint, client(endpoint) as peer:
        assert peer._quic._retry_source_connection_id is not None
        assert await peer.fetch("/") == (200, b"hello /")


async def test_a_client_with_too_many_connections_is_told_so(certificate) -> None:
    async with serving(certificate, hello) as endpoint, client(endpoint) as first:
        endpoint.host.most_of_client = 1
        assert await first.fetch("/") == (200, b"hello /")
        async with client(endpoint) as second:
            stream = second.start("/")
            await asyncio.wait_for(second.end_of(stream).wait(), 20)
            assert second.terminated.error_code == ErrorCode.H3_EXCESSIVE_LOAD
        assert await first.fetch("/") == (200, b"hello /")


async def test_resets_of_what_never_arrived_leave_the_connection_its_window(certificate) -> None:
    async def wait(request: Request) -> Response:
        if request.body:
            await asyncio.sleep(30)
        return Response(200)

    async with serving(certificate, wait) as endpoint, client(endpoint) as peer:
        for _ in range(3 * CONNECTION_WINDOW // STREAM_WINDOW):
            stream = peer.start("/", b"some", ended=False)
            await peer.ping()
            # As if a window of bytes had been sent, and lost.
            peer._quic._streams[stream].sender.highest_offset = STREAM_WINDOW
            peer._quic.reset_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
            peer.transmit()
            await peer.ping()
        assert peer.terminated is None
        assert (await peer.fetch("/"))[0] == 200
