"""TLS at the door: names, alerts, time, certificates that come later or change."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat

import pytest
from structlog.testing import capture_logs

from quantum.errors import HttpError
from quantum.http.message import Request, Response
from quantum.testing.certificates import make_certificates
from quantum.testing.clock import settle
from tests.integration.edge.conftest import SECONDS, Edge, length_of
from tests.integration.edge.hostile import h2

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HANDSHAKE_FAILURES = "quantum_edge_handshakes_failed_total"


async def test_a_request_over_tls_is_answered_by_name_and_by_address(edge: Edge) -> None:
    await edge.serve()
    for name in ("localhost", None):
        context = edge.trust()
        context.check_hostname = name is not None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", edge.tls_port, ssl=context, server_hostname=name or ""
        )
        writer.write(GET)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        assert head.startswith(b"HTTP/1.1 200")
        writer.transport.abort()
    assert edge.certs.asked == ["localhost", "127.0.0.1"]


async def test_large_bodies_pass_both_ways(edge: Edge) -> None:
    from quantum.http.body import read_all
    from quantum.http.headers import Headers

    async def echo(request: Request) -> Response:
        return Response(200, Headers(), await read_all(request.body, 10**8))

    await edge.serve(echo)
    client = await edge.connect(tls=edge.trust())
    data = bytes(range(256)) * 20_000
    client.writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    )
    head = await client.head()
    assert await client.exactly(length_of(head)) == data


async def test_alpn_offers_what_is_built_and_tolerates_what_is_not(edge: Edge) -> None:
    await edge.serve(protocols=["h1"])
    for wanted, agreed in ((["http/1.1"], "http/1.1"), (["h9", "http/1.1"], "http/1.1")):
        context = edge.trust()
        context.set_alpn_protocols(wanted)
        client = await edge.connect(tls=context)
        tls = client.writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == agreed


async def test_a_name_without_certificate_gets_an_alert(edge: Edge) -> None:
    await edge.serve()
    with pytest.raises(ssl.SSLError) as caught:
        await asyncio.open_connection(
            "127.0.0.1", edge.tls_port, ssl=edge.trust(), server_hostname="stranger.example"
        )
    assert "unrecognized" in str(caught.value).lower()


async def test_an_edge_without_a_certs_room_says_whom_it_misses(edge: Edge) -> None:
    async def away(request: Request) -> Response:
        raise HttpError(503, "room certs has no process")

    edge.certs.handle = away  # type: ignore[method-assign]
    await edge.serve()
    with capture_logs() as logs, pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", edge.tls_port, ssl=edge.trust(), server_hostname="localhost"
        )
    told = [entry for entry in logs if entry["event"] == "certificate_not_fetched"]
    assert told[0]["name"] == "localhost"
    assert "run it beside edge" in told[0]["remedy"]


async def test_a_handshake_that_fails_ends_in_an_alert(edge: Edge) -> None:
    await edge.serve(tls_connection_policies=[{"protocol_min": "tls1.3"}])
    context = edge.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError) as caught:
        await edge.connect(tls=context)
    assert "alert protocol version" in str(caught.value).lower()
    labels = {"reason": "unsupported_protocol"}
    assert edge.context.metrics.get_sample_value(HANDSHAKE_FAILURES, labels) == 1


async def test_garbage_on_the_tls_port_is_told_so_and_closed(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect(port=edge.tls_port)
    await client.send(b"\x80\x01garbage")
    await client.send(b"\x00" * 100)
    answer = await client.rest()
    assert answer[:1] in {b"\x15", b""}  # an alert, where OpenSSL has one


async def test_plain_http_on_the_tls_port_is_answered_in_plain_words(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect(port=edge.tls_port)
    await client.send(GET)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.0 400")
    assert b"HTTP request to an HTTPS server" in answer


async def test_a_handshake_in_single_bytes_succeeds(edge: Edge) -> None:
    await edge.serve()
    context = edge.trust()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.tls_port)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            incoming.write(await asyncio.wait_for(reader.read(4096), SECONDS))
    tls.write(GET)
    writer.write(outgoing.read())
    answer = b""
    while b"hello" not in answer:
        incoming.write(await asyncio.wait_for(reader.read(4096), SECONDS))
        try:
            answer += tls.read(4096)
        except ssl.SSLWantReadError:
            continue
    writer.transport.abort()


async def test_a_closed_connection_says_goodbye(edge: Edge) -> None:
    await edge.serve()
    client = await edge.connect(tls=edge.trust())
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    # asyncio raises for a TLS stream that ends without close_notify; this one ends cleanly.
    assert (await client.rest()).endswith(b"hello")


async def test_the_copy_on_disk_is_private_and_serves_when_certs_is_away(edge: Edge) -> None:
    await edge.serve()
    await edge.connect(tls=edge.trust())
    folder = edge.context.data_dir / "edge" / "certificates"
    (file,) = folder.glob("*.pem")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    from quantum.testing.context import make_context
    from services.edge.service import EdgeService

    again = EdgeService(make_context("edge", edge.context.data_dir))
    await again.start()
    assert again._certificates.has("localhost")
    await again.stop(0)


async def test_a_new_certificate_is_taken_into_use_without_a_new_listener(edge: Edge) -> None:
    from datetime import UTC, datetime

    from quantum.bus.subjects import CERTIFICATES, CertificateReady, key_of

    await edge.serve()
    old = await edge.connect(tls=edge.trust())
    folder = edge.context.data_dir / "new"
    folder.mkdir()
    edge.certs.chain, edge.certs.key, edge.certs.root = make_certificates(folder, ["localhost"])
    edge.certs.fingerprint = "cd" * 32
    bucket = await edge.context.bus.bucket(CERTIFICATES)
    ready = CertificateReady(
        name="localhost", subjects=["localhost"], fingerprint="cd" * 32,
        not_after=datetime.now(UTC), issuer="test",
    )  # fmt: skip
    await bucket.put(key_of("localhost"), ready)
    for _ in range(100):
        await settle()
        await asyncio.sleep(0.01)
        if edge.certs.asked.count("localhost") > 1:
            break
    await asyncio.sleep(0.1)
    await edge.connect(tls=edge.trust())  # verifies against the new root
    await old.send(GET)
    assert (await old.head()).startswith(b"HTTP/1.1 200")


async def test_a_client_that_vanishes_in_its_handshake_leaves_nothing_behind(edge: Edge) -> None:
    await edge.serve()
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", edge.tls_port))
        sock.send(b"\x16\x03\x01\x02\x00\x01")
        sock.close()
    await asyncio.sleep(0.1)
    assert edge.service._admission.open == 0
    assert all(e.open_connections == 0 for e in edge.service.entrypoints.values())


async def test_who_is_refused_under_tls_hears_the_end_at_once(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.edge.protocols.h1_output.LINGER_SECONDS", 3600.0)
    monkeypatch.setattr("services.edge.protocols.h2.LINGER_SECONDS", 3600.0)
    await edge.serve()
    client = await edge.connect(tls=edge.trust())
    await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nbad line\r\n\r\n" + b"x" * 100_000)
    assert (await client.rest()).startswith(b"HTTP/1.1 400")
    context = edge.trust()
    context.set_alpn_protocols(["h2"])
    client = await edge.connect(tls=context)
    peer = h2.Peer(client.reader, client.writer)
    await peer.greet()
    peer.send(h2.data(0, b"x"), *[h2.data(1, b"x" * 10_000)] * 10)
    await peer.rest()
    assert peer.goaway == h2.PROTOCOL_ERROR
