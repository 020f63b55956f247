"""HTTP/3 upstreams: Caddy's and our own edge, each before an origin that also misbehaves."""

import asyncio
import hashlib
import json
import socket

import pytest

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.http.headers import Headers
from quantum.testing.certificates import make_certificates
from quantum.testing.topology import free_port
from services.proxy.transports.h3 import dialling
from services.proxy.transports.h3.client import H3Client
from tests.conformance.protocols.origin import Origin, expected
from tests.integration.caddy import differential
from tests.integration.proxy.test_tls_upstreams import Client

MANY = 64 * 1024 * 1024


def document(port, origin, certificates):
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{origin.port}"}],
        "flush_interval": -1,
    }
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "protocols": ["h1", "h2", "h3"],
        "routes": [{"handle": [proxy]}],
        "tls_connection_policies": [{}],
        "automatic_https": {"disable": True},
    }
    load = [{"certificate": str(certificates[0]), "key": str(certificates[1])}]
    tls = {"certificates": {"load_files": load}}
    return {
        "admin": {"disabled": True},
        "apps": {"http": {"servers": {"srv0": server}}, "tls": tls},
    }


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"), ["localhost", "127.0.0.1"])


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="module", params=["caddy", "quantum"])
def server(request, origin, certificates, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("h3"), free_port()
    (folder / "config.json").write_text(json.dumps(document(port, origin, certificates)))
    command = differential.caddy(folder / "config.json")
    if request.param == "quantum":
        command = differential.quantum(folder / "config.json", folder / "data")
        command += ["--target", "edge,proxy,health,certs"]
    with differential.running(command, port, folder / "log"):
        yield f"localhost:{port}"


def transport(certificates, **fields):
    ca = {"provider": "file", "pem_files": [str(certificates[2])]}
    return {"protocol": "http", "versions": ["3"], "tls": {"ca": ca}, **fields}


@pytest.fixture
async def far(platform, server, certificates):
    await platform.use(server, transport=transport(certificates))
    return platform


async def eventually(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


async def fetch(platform, *args, **more):
    response = await asyncio.wait_for(platform.ask(*args, **more), 10)
    return response, await asyncio.wait_for(read_all(response.body, MANY), 30)


async def test_answers_come_whole_on_one_connection_and_say_their_version(far, monkeypatch):
    opened = []

    class Counted(H3Client):
        def connection_made(self, transport):
            opened.append(self)
            super().connection_made(transport)

    monkeypatch.setattr(dialling, "H3Client", Counted)
    response, body = await fetch(far, path="/bytes/3")
    assert (response.status, body) == (200, b"\0\1\2")
    assert response.headers.all(b"via")[-1] == b"3.0 Quantum"
    together = await asyncio.gather(*(fetch(far, path="/bytes/70000") for _ in range(20)))
    assert {len(body) for _, body in together} == {70000}
    response, body = await fetch(far, "HEAD", "/bytes/70000")
    assert (response.status, body) == (200, b"")
    assert len(opened) == 1


async def test_a_long_answer_passes_the_windows_and_is_the_same(far):
    size = 8_000_000
    response = await far.ask(path=f"/bytes/{size}")
    digest = hashlib.sha256()
    async for chunk in response.body:
        digest.update(chunk)
    assert digest.hexdigest() == expected(size)


async def test_a_slow_reader_holds_its_upstream_and_nobody_else(far, origin):
    path = "/bytes/60000001"
    before = origin.seen[path].sent
    slow = await far.ask(path=path)
    await asyncio.sleep(0.5)
    stopped = origin.seen[path].sent - before
    _, body = await fetch(far, path="/bytes/100000")
    assert len(body) == 100_000
    assert stopped < 20_000_000
    await slow.body.aclose()


async def test_bodies_go_up_in_memory_and_as_streams_with_trailers(far):
    _, body = await fetch(far, "POST", "/digest/memory", body=b"z" * 3_000_000)
    assert json.loads(body)["sha256"] == hashlib.sha256(b"z" * 3_000_000).hexdigest()
    stream = StreamBody()

    async def feed():
        for _ in range(40):
            stream.feed(b"y" * 50_000)
            await asyncio.sleep(0.001)
        stream.finish(Headers([(b"x-sum", b"abc")]))

    feeding = asyncio.ensure_future(feed())
    fields = [(b"trailer", b"x-sum")]
    _, body = await fetch(far, "POST", "/digest/stream", body=stream, fields=fields)
    await feeding
    assert json.loads(body)["length"] == 2_000_000


async def test_both_directions_flow_at_once(far):
    stream = StreamBody()
    asking = asyncio.ensure_future(far.ask("POST", "/echo", body=stream))
    stream.feed(b"one")
    response = await asyncio.wait_for(asking, 5)
    assert await asyncio.wait_for(anext(response.body), 5) == b"one"
    stream.feed(b"two")
    assert await asyncio.wait_for(anext(response.body), 5) == b"two"
    stream.finish()
    assert await read_all(response.body, 10) == b""


async def test_early_hints_and_trailers_come_back(far):
    early = []
    response, body = await fetch(
        far, path="/hints", informational=lambda status, fields: early.append(status)
    )
    assert (early, body) == ([103], b"ok")
    response, body = await fetch(far, path="/trailing")
    assert body == b"body"
    assert response.body.trailers.get(b"x-sum") == b"abc"


async def test_a_websocket_goes_by_extended_connect(far, origin):
    response = await asyncio.wait_for(far.ask(path="/socket/h3", upgrade="websocket"), 5)
    assert response.status == 101
    client = Client(b"hello")
    await asyncio.wait_for(response.upgrade(client), 10)
    assert client.heard.startswith(b"HELLO")
    assert far.proxy.report()[0]["num_requests"] == 0


@pytest.mark.parametrize("phase", ["length", "chunks"])
async def test_an_answer_that_breaks_off_is_never_taken_for_done(far, phase):
    response = await far.ask(path=f"/cut/{phase}/h3")
    with pytest.raises(BodyAborted):
        await read_all(response.body, MANY)
    assert (await fetch(far, path="/bytes/3"))[1] == b"\0\1\2"


async def test_a_client_that_leaves_frees_the_upstream(far, origin):
    path = "/hang/h3"
    origin.seen[path].is_cut = False
    asking = asyncio.ensure_future(far.ask(path=path))
    await eventually(lambda: origin.seen[path].heads)
    asking.cancel()
    await eventually(lambda: origin.seen[path].is_cut)
    origin.seen[path].heads.clear()
    response = await far.ask(path="/endless/h3")
    assert await anext(response.body)
    await response.body.aclose()
    await eventually(lambda: origin.seen["/endless/h3"].is_cut)


async def test_a_client_that_gives_up_its_upload_frees_the_upstream(far, origin):
    stream, path = StreamBody(), "/digest/given-up"
    origin.seen[path].is_cut = False
    stream.feed(b"x" * 1000)
    asking = asyncio.ensure_future(far.ask("POST", path, body=stream))
    await eventually(lambda: origin.seen[path].received >= 1000)
    stream.fail(ClientGone("left"))
    with pytest.raises(ClientGone):
        await asking
    await eventually(lambda: origin.seen[path].is_cut)


async def test_many_abandoned_answers_do_not_use_up_the_window(far):
    for _ in range(80):
        response = await far.ask(path="/bytes/5000000")
        await anext(response.body)
        await response.body.aclose()
    _, body = await fetch(far, path="/bytes/2000000")
    assert len(body) == 2_000_000


async def test_a_head_that_is_too_large_is_502(platform, server, certificates):
    limits = transport(certificates, max_response_header_size=100)
    await platform.use(server, transport=limits, revision="small")
    with pytest.raises(HttpError) as caught:
        await platform.ask(path="/fields-back/many")
    assert caught.value.status == 502


async def test_a_silent_upstream_is_504(platform, server, certificates):
    limits = transport(certificates, response_header_timeout="200ms")
    await platform.use(server, transport=limits, revision="limits")
    with pytest.raises(HttpError) as caught:
        await platform.ask(path="/hang/late")
    assert caught.value.status == 504


async def test_a_certificate_nobody_vouches_for_is_refused(platform, server, tmp_path):
    others = make_certificates(tmp_path, ["localhost"])
    await platform.use(server, transport=transport(others), revision="others")
    with pytest.raises(HttpError) as caught:
        await platform.ask(path="/bytes/3")
    assert caught.value.status == 502
    skip = {"protocol": "http", "versions": ["3"], "tls": {"insecure_skip_verify": True}}
    await platform.use(server, transport=skip, revision="skip")
    assert (await fetch(platform, path="/bytes/3"))[1] == b"\0\1\2"


async def test_nobody_listens(platform, certificates):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await platform.use(f"127.0.0.1:{port}", transport=transport(certificates))
    began = asyncio.get_running_loop().time()
    with pytest.raises(HttpError) as caught:
        await platform.ask(path="/")
    assert caught.value.status == 502
    assert asyncio.get_running_loop().time() - began < 2
