"""Upstreams over TLS: who is trusted, who we say we are, which HTTP is agreed on, and what refuses."""

import asyncio
import base64
import os
import socket
import ssl

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.testing.certificates import make_certificates
from tests.integration.proxy.h2_upstream import H2Upstream

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"), ["localhost", "up.test", "127.0.0.1"])


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("stranger"), ["localhost", "127.0.0.1"])


def server(certificates, *, alpn=("http/1.1",), clients=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[0], certificates[1])
    context.set_alpn_protocols(list(alpn))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients[2])
    return context


def http(certificates, **tls):
    versions = tls.pop("versions", ["1.1"])
    roots = [] if certificates is None else [str(certificates[2])]
    trust = {"ca": {"provider": "file", "pem_files": roots}} if roots else {}
    return {"protocol": "http", "versions": versions, "tls": {**trust, **tls}}


class Plain:
    """An HTTP/1.1 upstream that notes heads and the names it was called by."""

    def __init__(self):
        self.heads = []
        self.names = []
        self.connections = 0

    async def __call__(self, reader, writer):
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            writer.write(HELLO)
            await writer.drain()

    def noting(self, context):
        context.sni_callback = lambda _, name, __: self.names.append(name)
        return context


async def failure(platform):
    with pytest.raises(HttpError) as caught:
        await platform.ask()
    return caught.value


@pytest.mark.parametrize("form", ["file", "inline", "pool", "pem_files"])
async def test_a_certificate_of_the_configured_authority_is_trusted(platform, certificates, form):
    dial = await platform.upstream(Plain(), tls=server(certificates))
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(certificates[2].read_text())).decode()
    trust = {
        "file": {"ca": {"provider": "file", "pem_files": [str(certificates[2])]}},
        "inline": {"ca": {"provider": "inline", "trusted_ca_certs": [der]}},
        "pool": {"root_ca_pool": [der]},
        "pem_files": {"root_ca_pem_files": [str(certificates[2])]},
    }[form]
    await platform.use(dial, transport={"protocol": "http", "tls": trust})
    assert (await platform.ask()).body == b"hi"


@pytest.mark.parametrize("versions", [["1.1"], ["1.1", "2"]])
async def test_a_certificate_of_a_stranger_is_refused(platform, certificates, stranger, versions):
    dial = await platform.upstream(Plain(), tls=server(stranger))
    await platform.use(dial, transport=http(certificates, versions=versions))
    error = await failure(platform)
    assert error.status == 502
    assert "certificate verify failed" in error.reason


async def test_without_an_authority_the_systems_roots_are_asked(platform, certificates):
    dial = await platform.upstream(Plain(), tls=server(certificates))
    await platform.use(dial, transport=http(None))
    assert (await failure(platform)).status == 502


async def test_any_certificate_is_taken_where_that_is_configured(platform, stranger):
    dial = await platform.upstream(Plain(), tls=server(stranger))
    await platform.use(dial, transport=http(None, insecure_skip_verify=True))
    assert (await platform.ask()).body == b"hi"


async def test_the_host_is_the_upstreams_own_over_tls(platform, certificates):
    plain = Plain()
    dial = await platform.upstream(plain, tls=server(certificates))
    await platform.use(dial, transport=http(certificates))
    await platform.ask()
    assert f"\r\nHost: {dial}\r\n".encode() in plain.heads[0]
    assert b"X-Forwarded-Host: example.com" in plain.heads[0]


async def test_the_configured_name_is_asked_for_and_verified(platform, certificates):
    plain = Plain()
    dial = await platform.upstream(plain, tls=plain.noting(server(certificates)))
    await platform.use(dial, transport=http(certificates, server_name="up.test"))
    await platform.ask()
    assert plain.names == ["up.test"]
    await platform.use(dial, revision="r2", transport=http(certificates, server_name="other.test"))
    assert "certificate verify failed" in (await failure(platform)).reason


async def test_a_name_with_placeholders_never_shares_a_connection_with_another(
    platform, certificates
):
    plain = Plain()
    dial = await platform.upstream(plain, tls=plain.noting(server(certificates)))
    name = "{http.request.header.X-Name}"
    await platform.use(dial, transport=http(certificates, server_name=name))
    for asked in ("up.test", "localhost", "up.test", "localhost"):
        assert (await platform.ask(fields=[(b"x-name", asked.encode())])).body == b"hi"
    assert plain.names == ["up.test", "localhost"]
    with pytest.raises(HttpError):
        await platform.ask(fields=[(b"x-name", b"evil.test")])


async def test_a_client_certificate_opens_an_upstream_that_asks_for_one(
    platform, certificates, tmp_path
):
    ours = make_certificates(tmp_path, ["client"], ExtendedKeyUsageOID.CLIENT_AUTH)
    dial = await platform.upstream(Plain(), tls=server(certificates, clients=ours))
    shown = {
        "client_certificate_file": str(ours[0]),
        "client_certificate_key_file": str(ours[1]),
    }
    await platform.use(dial, transport=http(certificates, **shown))
    assert (await platform.ask()).body == b"hi"
    await platform.use(dial, revision="r2", transport=http(certificates))
    assert (await failure(platform)).status == 502


async def test_listed_ports_are_spoken_to_in_the_clear(platform, certificates):
    plain, secure = Plain(), Plain()
    open_dial = await platform.upstream(plain)
    tls_dial = await platform.upstream(secure, tls=server(certificates))
    port = open_dial.rpartition(":")[2]
    await platform.use(
        open_dial,
        tls_dial,
        transport=http(certificates, except_ports=[port], versions=["1.1", "2"]),
        load_balancing={"selection_policy": {"policy": "round_robin"}},
    )
    for _ in range(2):
        assert (await platform.ask()).body == b"hi"
    assert b"\r\nHost: example.com\r\n" in plain.heads[0]
    assert f"\r\nHost: {tls_dial}\r\n".encode() in secure.heads[0]


async def test_a_handshake_that_never_ends_is_given_up(platform):
    async def silent(reader, writer):
        await reader.read(-1)

    dial = await platform.upstream(silent)
    await platform.use(dial, transport=http(None, handshake_timeout="200ms"))
    began = asyncio.get_running_loop().time()
    assert (await failure(platform)).status in {502, 504}
    assert asyncio.get_running_loop().time() - began < 2


async def test_an_upstream_without_http2_is_asked_once_and_its_connection_kept(
    platform, certificates
):
    plain = Plain()
    dial = await platform.upstream(plain, tls=server(certificates))
    await platform.use(dial, transport=http(certificates, versions=["1.1", "2"]))
    for _ in range(3):
        assert (await platform.ask()).body == b"hi"
    assert plain.connections == 1


async def test_an_upstream_that_must_speak_http2_and_does_not_is_a_failure(platform, certificates):
    dial = await platform.upstream(Plain(), tls=server(certificates))
    await platform.use(dial, transport=http(certificates, versions=["2"]))
    assert (await failure(platform)).status == 502


class Ending:
    """An upstream that answers by a few bytes and ends its connection, having said so or not (close_notify)."""

    def __init__(self, answer, *, says_so):
        self.answer = answer
        self.says_so = says_so

    async def __call__(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        if self.says_so:
            writer.close()
        else:
            raw = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
            raw.shutdown(
                socket.SHUT_WR
            )  # a FIN behind a whole record: anybody on the way can send it
            raw.close()
            await reader.read(-1)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
async def test_a_body_without_length_is_whole_only_if_its_sender_said_so(
    platform, certificates, head
):  # fmt: skip
    for says_so in (True, False):
        dial = await platform.upstream(
            Ending(head + b"some of it", says_so=says_so), tls=server(certificates)
        )
        await platform.use(dial, transport=http(certificates), revision=str(says_so))
        answer = await platform.ask()
        if says_so:
            assert await read_all(answer.body, 1000) == b"some of it"
        else:
            with pytest.raises(BodyAborted, match="close_notify"):
                await read_all(answer.body, 1000)
    assert in_flight(platform) == 0


async def test_a_body_with_a_length_needs_no_goodbye(platform, certificates):
    dial = await platform.upstream(Ending(HELLO, says_so=False), tls=server(certificates))
    await platform.use(dial, transport=http(certificates))
    for _ in range(2):
        assert (await platform.ask()).body == b"hi"


# HTTP/2.


@pytest.fixture
async def upstream(certificates):
    upstream = H2Upstream()
    await upstream.start(server(certificates, alpn=("h2", "http/1.1")))
    yield upstream
    await upstream.stop()


async def test_requests_share_one_connection(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["1.1", "2"]))
    answers = await asyncio.gather(*(platform.ask(path=f"/{n}") for n in range(50)))
    assert [a.body for a in answers] == [b"GET /%d" % n for n in range(50)]
    assert upstream.connections == 1
    assert answers[0].headers.get(b"via") == b"2.0 Quantum"


async def test_more_streams_than_one_connection_allows_open_another(
    platform, upstream, certificates
):
    upstream.max_streams = 5
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    upstream.hold = asyncio.Event()
    asked = [asyncio.create_task(platform.ask(path=f"/{n}")) for n in range(12)]
    await until(lambda: upstream.seen == 12)
    upstream.hold.set()
    assert {(await one).status for one in asked} == {200}
    assert upstream.connections == 3


async def test_connections_can_be_bounded_and_requests_wait_for_a_stream(
    platform, upstream, certificates
):
    upstream.max_streams = 2
    transport = {**http(certificates, versions=["2"]), "max_conns_per_host": 1}
    await platform.use(upstream.dial, transport=transport)
    answers = await asyncio.gather(*(platform.ask(path=f"/{n}") for n in range(20)))
    assert {a.status for a in answers} == {200}
    assert upstream.connections == 1


async def test_a_goodbye_loses_no_request(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    await platform.ask()
    for _ in range(5):
        upstream.say_goodbye()
        assert (await platform.ask("POST", body=b"data")).status == 200
    assert upstream.connections > 1


async def test_a_refused_stream_is_sent_again_even_a_post(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    upstream.refuse = 1
    assert (await platform.ask("POST", body=b"data")).status == 200
    assert upstream.seen == 2


async def test_a_post_whose_connection_broke_is_not_sent_again(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    await platform.ask()
    upstream.cut = 1
    with pytest.raises(HttpError) as caught:
        await platform.ask("POST", body=b"data")
    assert (caught.value.status, upstream.seen) == (502, 2)
    upstream.cut = 1
    assert (await platform.ask("GET")).status == 200


async def test_an_answer_that_is_cut_is_never_a_clean_end(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    upstream.half = True
    answer = await platform.ask()
    with pytest.raises(BodyAborted):
        await read_all(answer.body, 1000)
    assert in_flight(platform) == 0


async def test_a_client_that_leaves_resets_its_stream_alone(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    upstream.hold = asyncio.Event()
    waiting = asyncio.create_task(platform.ask())
    await until(lambda: upstream.seen == 1)
    waiting.cancel()
    await until(lambda: upstream.resets == 1)
    upstream.hold.set()
    assert (await platform.ask()).status == 200
    assert (upstream.connections, in_flight(platform)) == (1, 0)


async def test_a_slow_head_is_a_504_and_a_silent_body_breaks_off(platform, upstream, certificates):
    transport = {
        **http(certificates, versions=["2"]),
        "response_header_timeout": "100ms",
        "read_timeout": "100ms",
    }
    await platform.use(upstream.dial, transport=transport)
    upstream.hold = asyncio.Event()
    assert (await failure(platform)).status == 504
    upstream.hold = None
    upstream.stall = True
    answer = await platform.ask()
    with pytest.raises(BodyAborted, match="timeout"):
        await read_all(answer.body, 1000)
    assert in_flight(platform) == 0


async def test_bodies_stream_both_ways_with_trailers(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    body = StreamBody()
    asking = asyncio.create_task(platform.ask("POST", path="/echo", body=body))
    body.feed(b"one")
    answer = await asking
    assert await answer.body.__anext__() == b"one"
    body.feed(b"two")
    assert await answer.body.__anext__() == b"two"
    body.finish()
    with pytest.raises(StopAsyncIteration):
        await answer.body.__anext__()
    assert answer.body.trailers.get(b"x-sum") == b"6"
    assert in_flight(platform) == 0


class Client:
    """The client's side of a tunnel: says its words, notes what comes."""

    def __init__(self, *words):
        self.words = list(words)
        self.heard = b""
        self.is_ended = self.is_cut = False
        self.answered = asyncio.Event()

    async def read(self):
        if self.words:
            return self.words.pop(0)
        await self.answered.wait()
        return b""

    async def write(self, data):
        self.heard += data
        self.answered.set()

    async def write_end(self):
        self.is_ended = True

    def abort(self):
        self.is_cut = True


async def test_an_upgrade_goes_by_extended_connect_where_there_is_only_http2(
    platform, upstream, certificates
):
    await platform.use(upstream.dial, transport=http(certificates, versions=["2"]))
    answer = await platform.ask(upgrade="websocket")
    assert answer.status == 101
    client = Client(b"hello")
    await answer.upgrade(client)
    assert (client.heard, client.is_cut, in_flight(platform)) == (b"hello", False, 0)


async def test_an_upgrade_goes_by_http1_where_that_is_spoken(platform, upstream, certificates):
    await platform.use(upstream.dial, transport=http(certificates, versions=["1.1", "2"]))
    with pytest.raises(HttpError):  # this upstream speaks HTTP/2 alone, whatever is agreed on
        await platform.ask(upgrade="websocket")
    assert upstream.seen == 0


async def test_an_http1_server_on_an_h2c_upstream_is_a_failure(platform):
    dial = await platform.upstream(Plain())
    await platform.use(dial, transport={"protocol": "http", "versions": ["h2c"]})
    assert (await failure(platform)).status == 502


def in_flight(platform):
    return sum(upstream.in_flight for upstream in platform.proxy._upstreams)


async def until(question, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not question():
            await asyncio.sleep(0.005)


async def test_the_curves_are_the_configured_ones(platform, certificates):
    context = server(certificates)
    context.set_ecdh_curve("secp384r1")
    dial = await platform.upstream(Plain(), tls=context)
    for curve, answers in (("secp384r1", True), ("x25519", False)):
        config = http(certificates, curves=[curve], renegotiation="never")
        await platform.use(dial, transport=config, revision=curve)
        if answers:
            assert (await platform.ask()).status == 200
        else:
            with pytest.raises(HttpError) as caught:
                await platform.ask()
            assert caught.value.status == 502
