"""Checks against real servers: every field of ``health_checks.active``, connections, gRPC's health service."""

import asyncio
import ssl
import time
from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from quantum.http.placeholders.surroundings import use_environment
from quantum.net.client_tls import make_client_context
from quantum.testing.certificates import make_certificates
from quantum.trust.upstreams import OfThisMachine
from services.health.checks import Check
from services.health.probes.prober import Prober
from services.proxy.judging.config import ActiveChecks
from services.proxy.transports.config import UpstreamTls


class Site:
    """An HTTP upstream: keeps what it was asked, answers as it is told."""

    def __init__(self):
        self.asked: list[bytes] = []
        self.answers: list[bytes] = []
        self.address = ""
        self.writers: list[asyncio.StreamWriter] = []

    def close(self):
        for writer in self.writers:
            writer.transport.abort()

    def say(self, status="200 OK", body=b"", *fields):
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.answers.append("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def __call__(self, reader, writer):
        self.writers.append(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            self.asked.append(head + await reader.readexactly(length))
            if self.answers:
                writer.write(self.answers.pop(0))
                await writer.drain()
            else:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@pytest.fixture
async def site():
    site = Site()
    server = await asyncio.start_server(site, "127.0.0.1", 0)
    site.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield site
    server.close()
    site.close()
    await asyncio.sleep(0.01)


@pytest.fixture
async def probe():
    prober = Prober(time.monotonic)

    async def ask(dial, *, tls=None, **active):
        config = ActiveChecks.parse({"timeout": "1s", **active})
        check = Check("k", "c", dial, config, *(tls or (None, None)))
        return await prober.probe(check)

    yield ask
    await prober.aclose()
    await asyncio.sleep(0.05)  # closed connections end in the loop's next turns


async def test_a_check_is_the_request_that_was_configured(site, probe, monkeypatch):
    use_environment({"TOKEN": "s3cret"})
    site.say()
    headers = {
        "Host": ["check.example"],
        "X-Target": ["{http.reverse_proxy.active.target_upstream}"],
        "X-{env.TOKEN}": ["{env.TOKEN}", "{nothing.known}"],
    }
    sample = await probe(
        site.address, uri="/h?x=%2F", method="PUT", body="<{env.TOKEN}{nope}>", headers=headers
    )
    use_environment({})
    assert sample.ok, sample.reason
    head, _, body = site.asked[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"PUT /h?x=%2F HTTP/1.1"
    assert b"Host: check.example" in lines
    assert f"X-Target: {site.address}".encode() in lines
    assert [line for line in lines if line.startswith(b"X-s3cret")] == [
        b"X-s3cret: s3cret",
        b"X-s3cret: {nothing.known}",
    ]
    assert body == b"<s3cret{nope}>"


@pytest.mark.parametrize(
    ("status", "expected", "is_ok"),
    [
        (200, None, True), (204, None, True), (304, None, False), (500, None, False), (200, 2, True),
        (204, 200, False), (418, 4, True), (404, 404, True), (302, 3, True), (503, 5, True),
    ],
)  # fmt: skip
async def test_the_expected_status_is_a_code_or_a_class(site, probe, status, expected, is_ok):
    site.say(f"{status} X")
    config = {} if expected is None else {"expect_status": expected}
    sample = await probe(site.address, **config)
    assert sample.ok == is_ok
    assert is_ok or sample.reason == f"status {status}"


async def test_the_body_is_looked_at_as_far_as_max_size(site, probe):
    for _ in range(3):
        site.say("200 OK", b"....ready")
    assert (await probe(site.address, expect_body="^.{4}re(ady|d)$")).ok
    assert (await probe(site.address, expect_body="ready", max_size=9)).ok
    cut = await probe(site.address, expect_body="ready", max_size=8)
    assert cut.reason == "body does not match expect_body"


async def test_redirects_are_followed_to_the_same_upstream_and_only_if_wanted(site, probe):
    for _ in range(2):
        site.say("302 Found", b"", "Location: http://elsewhere.example:81/there?a=1")
    refused = await probe(site.address, uri="/a", method="POST", body="b")
    assert refused.reason == "status 302"
    site.say()
    assert (await probe(site.address, uri="/a", method="POST", follow_redirects=True)).ok
    assert site.asked[2].startswith(b"GET /there?a=1 HTTP/1.1\r\n")
    assert b"Host: elsewhere.example:81\r\n" in site.asked[2]
    for _ in range(11):
        site.say("301 Moved", b"", "Location: /again")
    endless = await probe(site.address, follow_redirects=True)
    assert endless.reason == "more than 10 redirects"


async def test_a_port_or_an_upstream_of_its_own_is_asked_instead(site, probe):
    port = int(site.address.rpartition(":")[2])
    for _ in range(3):
        site.say()
    assert (await probe("127.0.0.1:1", port=port)).ok
    assert (await probe("unix//nowhere.sock", port=port)).ok
    assert (await probe("127.0.0.1:1", upstream=site.address, port=2)).ok
    assert f"Host: {site.address}\r\n".encode() in site.asked[2]


async def test_silence_ends_at_the_timeout_and_a_closed_port_at_once(site, probe):
    silent = await probe(site.address, timeout="100ms")
    assert silent.reason == "no answer within 0.1 s"
    assert silent.seconds < 5
    assert (await probe("127.0.0.1:1")).reason == "connection refused"
    assert "name" in (await probe("nowhere.invalid:80", timeout="5s")).reason


async def test_a_plain_connection_is_enough_for_tcp(site, probe):
    assert (await probe(site.address, protocol="tcp")).ok
    assert site.asked == []
    refused = await probe("127.0.0.1:1", protocol="tcp")
    assert refused.reason == "connection refused"


@pytest.fixture
def tls(tmp_path):
    chain, key, root = make_certificates(tmp_path, ["127.0.0.1", "localhost"])
    config = UpstreamTls.parse({"root_ca_pem_files": [str(root)]})
    plain, h2 = (
        make_client_context(config, OfThisMachine()),
        make_client_context(config, OfThisMachine()),
    )
    h2.set_alpn_protocols(["h2"])
    return chain, key, (plain, h2)


async def test_tcp_with_tls_is_a_handshake(site, probe, tls):
    chain, key, contexts = tls
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    server = await asyncio.start_server(site, "127.0.0.1", 0, ssl=context)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert (await probe(address, protocol="tcp", tls=contexts)).ok
    site.say()
    assert (await probe(address, tls=contexts)).ok
    not_tls = await probe(site.address, protocol="tcp", tls=contexts, timeout="200ms")
    assert not not_tls.ok
    server.close()
    await asyncio.sleep(0.02)


@pytest.fixture
def grpc_server(tls):
    chain, key, contexts = tls
    server = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    plain = server.add_insecure_port("127.0.0.1:0")
    pair = (key.read_bytes(), chain.read_bytes())
    secure = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield servicer, f"127.0.0.1:{plain}", f"127.0.0.1:{secure}", contexts
    server.stop(0).wait()


async def test_grpcs_health_service_decides(grpc_server, probe):
    servicer, plain, secure, contexts = grpc_server
    status = health_pb2.HealthCheckResponse
    for address, tls in ((plain, None), (secure, contexts)):
        servicer.set("", status.SERVING)
        sample = await probe(address, protocol="grpc", tls=tls)
        assert sample.ok, sample.reason
        servicer.set("shop.Cart" * 20, status.NOT_SERVING)
        named = await probe(address, protocol="grpc", grpc_service="shop.Cart" * 20, tls=tls)
        assert named.reason == "grpc NOT_SERVING"
        unknown = await probe(address, protocol="grpc", grpc_service="none", tls=tls)
        assert unknown.reason == "grpc-status 5"


async def test_a_server_without_grpc_fails_its_check(site, probe):
    site.say()
    sample = await probe(site.address, protocol="grpc", timeout="300ms")
    assert not sample.ok
