"""How upstreams are reached: PROXY headers, local addresses, proxies in between, own name servers."""

import asyncio
import socket

import pytest

from quantum.config.units import NetworkAddress
from quantum.errors import HttpError
from quantum.http.message import ConnectionFacts
from quantum.testing.certificates import make_certificates
from quantum.testing.topology import free_port
from services.proxy.transports import dialling
from services.proxy.transports.dialling import DialSettings, open_socket
from services.proxy.transports.proxy_header import encode
from tests.e2e.proxying.conftest import caddy, document
from tests.integration.proxy.name_server import NameServer
from tests.integration.proxy.test_tls_upstreams import HELLO, Plain, http, server


@pytest.fixture(scope="module")
def announced():
    """A real Caddy that believes PROXY headers and says whom it sees."""
    port = free_port()
    say = {
        "handler": "static_response",
        "body": "{http.request.remote.host} {http.request.remote.port}",
    }
    config = document(port, [{"handle": [say]}])
    wrapper = {"wrapper": "proxy_protocol", "allow": ["127.0.0.1/32"], "fallback_policy": "REJECT"}
    config["apps"]["http"]["servers"]["srv0"]["listener_wrappers"] = [wrapper]
    with caddy(config, port):
        yield f"127.0.0.1:{port}"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("peer", ["203.0.113.7", "2001:db8::7"])
async def test_the_upstream_learns_the_clients_address_in_a_header(
    platform, announced, version, peer
):
    await platform.use(announced, transport={"protocol": "http", "proxy_protocol": version})
    for port in (5000, 5001):
        facts = ConnectionFacts((peer, port), ("192.0.2.1", 80), "http")
        answer = await platform.ask(connection=facts)
        assert answer.body == f"{peer} {port}".encode()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_client_without_an_address_is_announced_as_unknown(platform, announced, version):
    await platform.use(announced, transport={"protocol": "http", "proxy_protocol": version})
    facts = ConnectionFacts(("", 0), ("", 0), "http")
    assert (await platform.ask(connection=facts)).body.startswith(b"127.0.0.1 ")


def test_the_bytes_of_a_header_are_those_of_the_specification():
    facts = ConnectionFacts(("192.168.0.1", 56324), ("192.168.0.11", 443), "https")
    assert encode("v1", facts) == b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    assert encode("v2", facts) == (
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"
    )


async def test_connections_leave_from_the_local_address(platform):
    seen = []

    async def serve(reader, writer):
        seen.append(writer.get_extra_info("peername")[0])
        await Plain()(reader, writer)

    dial = await platform.upstream(serve)
    await platform.use(dial, transport={"protocol": "http", "local_address": "127.0.0.9"})
    await platform.ask()
    assert seen == ["127.0.0.9"]


async def test_names_of_upstreams_are_asked_of_the_configured_server(platform):
    names = NameServer()
    await names.start()
    names.records["up.test.", "A"] = ["127.0.0.1"]
    dial = await platform.upstream(Plain())
    transport = {"protocol": "http", "resolver": {"addresses": [names.address]}}
    await platform.use("up.test:" + dial.rpartition(":")[2], transport=transport)
    assert (await platform.ask()).body == b"hi"
    await platform.use("gone.test:80", revision="r2", transport=transport)
    with pytest.raises(HttpError, match=r"gone\.test"):
        await platform.ask()
    names.transport.close()


class Proxy:
    """A forward proxy: CONNECT is joined to its target, other requests are answered by itself."""

    def __init__(self, answer=b"HTTP/1.1 200 OK\r\n\r\n"):
        self.heads = []
        self.answer = answer

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not head.startswith(b"CONNECT "):
            writer.write(HELLO)
            return
        writer.write(self.answer)
        if b" 200 " not in self.answer:
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    finally:
        writer.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"), ["127.0.0.1"])


async def test_a_plain_upstream_is_asked_for_through_the_proxy_by_its_whole_url(platform):
    proxy = Proxy()
    url = f"http://anna:se%40cret@{await platform.upstream(proxy)}"
    await platform.use("up.test:8000", transport={"protocol": "http", "forward_proxy_url": url})
    assert (await platform.ask(path="/x")).body == b"hi"
    assert proxy.heads[0].startswith(b"GET http://up.test:8000/x HTTP/1.1\r\nHost: example.com\r\n")
    assert b"\r\nProxy-Authorization: Basic YW5uYTpzZUBjcmV0\r\n" in proxy.heads[0]


async def test_a_tls_upstream_is_reached_through_a_tunnel(platform, certificates):
    proxy = Proxy()
    plain = Plain()
    dial = await platform.upstream(plain, tls=server(certificates))
    via = {"from": "url", "url": f"http://{await platform.upstream(proxy)}"}
    transport = {**http(certificates, versions=["1.1", "2"]), "network_proxy": via}
    await platform.use(dial, transport=transport)
    for _ in range(2):
        assert (await platform.ask()).body == b"hi"
    assert proxy.heads == [f"CONNECT {dial} HTTP/1.1\r\nHost: {dial}\r\n\r\n".encode()]
    assert b"Proxy-Authorization" not in plain.heads[0]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Who are you\r\n\r\n", b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nmore"],
)
async def test_a_proxy_that_gives_no_tunnel_is_a_failed_dial(platform, certificates, answer):
    dial = await platform.upstream(Proxy(answer))
    transport = {**http(certificates), "forward_proxy_url": f"http://{dial}"}
    await platform.use("127.0.0.1:9", transport=transport)
    with pytest.raises(HttpError) as caught:
        await platform.ask()
    assert (caught.value.status, "dialing" in caught.value.reason) == (502, True)


async def test_the_other_family_is_tried_when_the_first_one_is_silent(monkeypatch):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    connect = dialling._connect

    async def silent_on_ipv6(target, settings):
        if target[0] == socket.AF_INET6:
            await asyncio.sleep(60)
        return await connect(target, settings)

    async def both(address, resolver):
        return [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(dialling, "_connect", silent_on_ipv6)
    monkeypatch.setattr(dialling, "targets_of", both)
    address = NetworkAddress.parse(f"name.test:{port}")
    began = asyncio.get_running_loop().time()
    with await open_socket(address, DialSettings(fallback_delay=0.05)) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"
    assert 0.04 < asyncio.get_running_loop().time() - began < 1
    with pytest.raises(TimeoutError):  # without a delay families are tried in turn
        await open_socket(address, DialSettings(timeout=0.1, fallback_delay=0))
    listener.close()


async def test_idle_connections_are_bounded_over_all_upstreams(platform):
    dials = [await platform.upstream(Plain()) for _ in range(3)]
    await platform.use(
        *dials,
        transport={"protocol": "http", "keep_alive": {"max_idle_conns": 2}},
        load_balancing={"selection_policy": {"policy": "round_robin"}},
    )
    for _ in range(6):
        assert (await platform.ask()).body == b"hi"
    pools = [member.pool for member in platform.handler.roster.members]
    assert sum(pool.idle for pool in pools) == 2
