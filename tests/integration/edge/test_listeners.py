"""Listener wrappers over real sockets: PROXY headers, plain HTTP on a TLS port; limits of admission."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from quantum.errors import ConfigError
from quantum.http.message import Request, Response
from quantum.testing.context import make_context
from services.edge.admission import Admission, client_of
from services.edge.offenders import CUTS
from tests.integration.edge.conftest import SECONDS, Client, Edge
from tests.integration.edge.hostile import h2

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.9 4711 443\r\n"


async def tell(request: Request) -> Response:
    facts = request.connection
    return Response(200, None, f"{facts.peer} {facts.local} {request.client_ip}".encode())


async def is_cut(client: Client) -> bool:
    """Whether the connection ends without a word."""
    try:
        return await client.rest() == b""
    except ConnectionResetError:
        return True


def wrapper(**fields: Any) -> list[dict[str, Any]]:
    return [{"wrapper": "proxy_protocol", **fields}]


async def test_a_believed_header_says_who_asks_plain_and_under_tls(edge: Edge) -> None:
    await edge.serve(tell, listener_wrappers=wrapper(allow=["127.0.0.0/8"]))
    expected = b"('198.51.100.7', 4711) ('192.0.2.9', 443) 198.51.100.7"
    client = await edge.connect()
    assert (await client.ask(HEADER + GET))[1] == expected
    assert (await client.ask(GET))[1] == expected
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.tls_port)
    writer.write(HEADER)
    await writer.start_tls(edge.trust(), server_hostname="localhost")
    writer.write(GET)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
    assert await reader.read(len(expected)) == expected
    writer.transport.abort()


async def test_a_header_in_single_bytes_and_a_missing_one_are_fine_where_it_may_be(
    edge: Edge,
) -> None:
    await edge.serve(tell, listener_wrappers=wrapper(fallback_policy="use"))
    client = await edge.connect()
    for byte in HEADER:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert b"198.51.100.7" in (await client.ask(GET))[1]
    assert b"127.0.0.1" in (await (await edge.connect()).ask(GET))[1]


async def test_strangers_cannot_say_who_they_are(edge: Edge) -> None:
    await edge.serve(tell, listener_wrappers=wrapper(allow=["192.0.2.0/24"]))
    client = await edge.connect()
    body = (await client.ask(HEADER + GET))[1]
    assert b"198.51.100.7" not in body
    assert b"127.0.0.1" in body


@pytest.mark.parametrize(
    ("fields", "data", "reason"),
    [
        ({"deny": ["127.0.0.1"]}, HEADER + GET, "untrusted"),
        ({"fallback_policy": "REQUIRE"}, GET, "missing"),
        ({"fallback_policy": "REQUIRE", "timeout": "100ms"}, b"PROXY", "timeout"),
        ({"allow": ["127.0.0.1"]}, b"PROXY TCP4 nonsense\r\n" + GET, "malformed"),
    ],
)
async def test_a_connection_that_breaks_the_rules_is_cut_and_counted(
    edge: Edge, fields: dict[str, Any], data: bytes, reason: str
) -> None:
    await edge.serve(tell, listener_wrappers=wrapper(**fields))
    client = await edge.connect()
    await client.send(data)
    assert await is_cut(client)
    count = edge.context.metrics.get_sample_value(
        "quantum_edge_limits_reached_total", {"limit": f"proxy_header_{reason}"}
    )
    assert count == 1
    await asyncio.sleep(0.05)
    assert edge.service._admission.open == 0


async def test_skip_takes_what_comes_as_http(edge: Edge) -> None:
    await edge.serve(tell, listener_wrappers=wrapper(fallback_policy="SKIP"))
    client = await edge.connect()
    assert (await client.ask(GET))[0].startswith(b"HTTP/1.1 200")
    assert (await client.ask(HEADER + b"\r\n"))[0].startswith(b"HTTP/1.1 400")


async def test_plain_http_on_a_tls_port_is_redirected(edge: Edge) -> None:
    await edge.serve(
        listener_wrappers=[
            {"wrapper": "http_redirect", "max_header_bytes": 200},
            {"wrapper": "tls"},
        ]
    )
    client = await edge.connect(port=edge.tls_port)
    await client.send(b"GET /a?b=c HTTP/1.1\r\nHo")
    await client.send(b"st: example.com:%d\r\n\r\n" % edge.tls_port)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert b"Location: https://example.com:%d/a?b=c\r\n" % edge.tls_port in answer
    client = await edge.connect(port=edge.tls_port)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200)
    assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
    assert (await (await edge.connect(tls=edge.trust())).ask(GET))[0].startswith(b"HTTP/1.1 200")


async def test_an_order_that_cannot_be_kept_is_refused(edge: Edge) -> None:
    for wrappers in ([{"wrapper": "tls"}, *wrapper()], [{"wrapper": "http_redirect"}, *wrapper()]):
        with pytest.raises(ConfigError):
            await edge.serve(listener_wrappers=wrappers)


async def test_the_oldest_unfinished_handshake_gives_way(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.edge.tls.handshake.MAX_HANDSHAKES", 3)
    await edge.serve()
    idle = [await edge.connect(port=edge.tls_port) for _ in range(4)]
    assert await idle[0].rest() == bytes.fromhex("15 0303 0002 02 50"), "internal_error, in clear"
    assert (await (await edge.connect(tls=edge.trust())).ask(GET))[0].startswith(b"HTTP/1.1 200")
    limit = {"limit": "handshakes"}
    reached = edge.context.metrics.get_sample_value("quantum_edge_limits_reached_total", limit)
    assert reached == 2


async def test_connections_beyond_the_bound_are_turned_away_quietly(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    await edge.serve()
    edge.service._admission._limit = 2
    held = [await edge.connect() for _ in range(2)]
    assert await is_cut(await edge.connect())
    assert await is_cut(await edge.connect(port=edge.tls_port))
    held[0].reset()
    await asyncio.sleep(0.05)
    assert (await (await edge.connect()).ask(GET))[0].startswith(b"HTTP/1.1 200")
    reached = {"limit": "connections"}
    assert edge.context.metrics.get_sample_value("quantum_edge_limits_reached_total", reached) == 2
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


async def test_clients_told_by_a_balancer_are_bounded_one_by_one(edge: Edge) -> None:
    await edge.serve(listener_wrappers=wrapper(allow=["127.0.0.1"]))
    edge.service._admission._client_limit = 1
    edge.service._admission._crowded = 0
    header = b"PROXY TCP4 8.8.8.%d 192.0.2.9 4711 443\r\n"
    first = await edge.connect()
    assert (await first.ask(header % 8 + GET))[0].startswith(b"HTTP/1.1 200")
    second = await edge.connect()
    await second.send(header % 8 + GET)
    assert await is_cut(second)
    third = await edge.connect()
    assert (await third.ask(header % 4 + GET))[0].startswith(b"HTTP/1.1 200")


async def test_a_client_that_floods_again_and_again_is_refused_for_a_while(edge: Edge) -> None:
    await edge.serve(protocols=["h1", "h2c"], listener_wrappers=wrapper(allow=["127.0.0.1"]))
    header = b"PROXY TCP4 8.8.8.%d 192.0.2.9 4711 443\r\n"
    flood = h2.PREFACE + h2.settings() + h2.frame(h2.PING, 0, 0, bytes(8)) * 600
    for _ in range(int(CUTS[0]) + 1):
        client = await edge.connect()
        attacker = h2.Peer(client.reader, client.writer)
        attacker.send(header % 8 + flood)
        assert await attacker.until(lambda f: f.kind == h2.GOAWAY)
        attacker.close()
    refused = await edge.connect()
    await refused.send(header % 8 + GET)
    assert await is_cut(refused)
    other = await edge.connect()
    assert (await other.ask(header % 4 + GET))[0].startswith(b"HTTP/1.1 200")
    limit = {"limit": "floods_of_client"}
    reached = edge.context.metrics.get_sample_value("quantum_edge_limits_reached_total", limit)
    assert reached == 1


async def test_a_trusted_proxy_that_passes_floods_on_is_not_refused(edge: Edge) -> None:
    trusted = {"source": "static", "ranges": ["8.8.8.8/32"]}
    await edge.serve(trusted_proxies=trusted)
    entrypoint = next(iter(edge.service._entrypoints.values()))
    for _ in range(100):
        entrypoint.reached("h2_frames", "8.8.8.8")
    assert entrypoint.admission.enter_client("8.8.8.8")


def test_one_client_is_bounded_only_where_others_need_the_room(tmp_path: Any) -> None:
    admission = Admission(make_context("edge", tmp_path).metrics, 160)
    for _ in range(80):
        assert admission.enter()
        assert admission.enter_client("8.8.8.8"), "the house is half empty"
    assert admission.enter()
    assert not admission.enter_client("8.8.8.8")
    assert admission.enter_client("8.8.4.4")
    assert admission.enter_client("10.0.0.1")
    for _ in range(81):
        admission.leave_client("8.8.8.8")
    assert admission.enter_client("8.8.8.8")
    assert client_of("2001:4860:4860::8888") == client_of("2001:4860:4860::1")
    assert client_of("127.0.0.1") == client_of("") == ""


async def test_a_certificate_is_still_verified_behind_a_header(edge: Edge) -> None:
    await edge.serve(listener_wrappers=wrapper(allow=["127.0.0.1"]))
    with pytest.raises(ssl.SSLError):
        await edge.connect(tls=ssl.create_default_context())
