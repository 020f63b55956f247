"""What the versions of HTTP say of one another and of their connection: Alt-Svc, 421, early data, drain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pycurl
import pytest
from aioquic.asyncio import connect
from aioquic.tls import SessionTicket

from quantum.http.message import Request, Response
from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile import h3

VERSIONS = {
    "h1": pycurl.CURL_HTTP_VERSION_1_1,
    "h2": pycurl.CURL_HTTP_VERSION_2_0,
    "h3": 31,  # CURL_HTTP_VERSION_3ONLY
}
PATIENCE = 20


async def ask(edge: Edge, version: str, *fields: str, plain: bool = False) -> tuple[int, dict]:
    """Status and fields of an answer to curl."""
    got: dict[str, str] = {}

    def note(line: bytes) -> None:
        name, colon, value = line.decode().partition(":")
        if colon:
            got[name.lower()] = value.strip()

    def run() -> int:
        handle = pycurl.Curl()
        port = edge.port if plain else edge.tls_port
        handle.setopt(pycurl.URL, f"{'http' if plain else 'https'}://localhost:{port}/")
        handle.setopt(pycurl.RESOLVE, [f"localhost:{port}:127.0.0.1"])
        handle.setopt(pycurl.HTTP_VERSION, VERSIONS[version])
        handle.setopt(pycurl.HTTPHEADER, list(fields))
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.HEADERFUNCTION, note)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.TIMEOUT, PATIENCE)
        handle.perform()
        return handle.getinfo(pycurl.RESPONSE_CODE)

    return await asyncio.to_thread(run), got


async def test_http_3_is_announced_with_its_port_and_only_where_it_is_spoken(edge: Edge) -> None:
    await edge.serve()
    announced = f'h3=":{edge.tls_port}"; ma=2592000'
    for version in ("h1", "h2"):
        assert (await ask(edge, version))[1]["alt-svc"] == announced
    assert "alt-svc" not in (await ask(edge, "h3"))[1]
    assert "alt-svc" not in (await ask(edge, "h1", plain=True))[1]
    await edge.serve(protocols=["h1", "h2"])
    for version in ("h1", "h2"):
        assert "alt-svc" not in (await ask(edge, version))[1]
    with pytest.raises(pycurl.error):
        await ask(edge, "h3")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_host_that_the_handshake_did_not_name_is_421_over(edge: Edge, version) -> None:
    await edge.serve(strict_sni_host=True)
    assert (await ask(edge, version))[0] == 200
    assert (await ask(edge, version, "Host: LOCALHOST:1"))[0] == 200
    assert (await ask(edge, version, "Host: other.example"))[0] == 421
    await edge.serve(strict_sni_host=False)
    assert (await ask(edge, version, "Host: other.example"))[0] == 200


async def early(edge: Edge) -> tuple[int | None, bool]:
    """Ask in early data with a ticket of an earlier connection; the status, and whether it was taken."""
    tickets: list[SessionTicket] = []

    def connection(**options: Any):
        return connect(
            "127.0.0.1", edge.tls_port, create_protocol=h3.Peer,
            session_ticket_handler=tickets.append, **options,
        )  # fmt: skip

    async with connection(configuration=h3.configuration()) as first:
        await first.settle()
        while not tickets:
            await asyncio.sleep(0.01)
    configuration = h3.configuration(session_ticket=tickets[0])
    async with connection(configuration=configuration, wait_connected=False) as second:
        second.put(0, h3.headers(), end=True)
        async with asyncio.timeout(PATIENCE):
            while 0 not in second.ended:
                await asyncio.sleep(0.01)
        return second.status(0), second._quic.tls.early_data_accepted


async def test_early_data_is_marked_for_those_who_decide_about_replays(edge: Edge) -> None:
    seen: list[bytes | None] = []

    async def note(request: Request) -> Response:
        seen.append(request.headers.get(b"early-data"))
        return Response(204)

    await edge.serve(note)
    assert await early(edge) == (204, True)
    await edge.serve(note, allow_0rtt=False)
    assert await early(edge) == (204, False)
    assert seen == [b"1", None]


async def test_early_data_is_425_where_the_address_matters(edge: Edge) -> None:
    match = [{"remote_ip": {"ranges": ["127.0.0.1"]}}]
    handle = [{"handler": "static_response", "status_code": 204}]
    server = {
        "listen": [f"127.0.0.1:{edge.tls_port}"],
        "routes": [{"match": match, "handle": handle}],
        "tls_connection_policies": [{}],
        "automatic_https": {"disable_redirects": True},
    }
    await edge.apply({"secure": server})
    assert await early(edge) == (425, True)
    assert (await ask(edge, "h3"))[
        0
    ] == 204  # asked again when the handshake is done, it is answered


async def test_a_ticket_is_good_for_its_name_alone(edge: Edge) -> None:
    await edge.serve()
    tickets: list[SessionTicket] = []

    async def resumed(name: str, ticket: SessionTicket | None) -> bool:
        configuration = h3.configuration(session_ticket=ticket)
        configuration.server_name = name
        async with connect(
            "127.0.0.1", edge.tls_port, configuration=configuration, create_protocol=h3.Peer,
            session_ticket_handler=tickets.append,
        ) as peer:  # fmt: skip
            await peer.settle()
            async with asyncio.timeout(PATIENCE):
                while not tickets:
                    await asyncio.sleep(0.01)
            return bool(peer._quic.tls.session_resumed)

    assert not await resumed("localhost", None)
    first = tickets.pop()
    assert await resumed("localhost", first)
    assert not await resumed("localhost", first)  # once
    assert not await resumed("127.0.0.1", tickets[0])


async def test_a_drain_lets_transfers_over_http_3_end_and_takes_no_new_ones(edge: Edge) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request) -> Response:
        await go_on.wait()
        return Response.text(200, "whole")

    await edge.serve(answer)
    async with h3.connected(edge.tls_port) as peer:
        peer.put(2, h3.number(h3.CONTROL_STREAM) + h3.frame(h3.SETTINGS))
        peer.put(0, h3.headers(), end=True)
        await peer.settle()
        await edge.serve(answer, protocols=["h1", "h2"])  # HTTP/3 is no longer wanted here

        def control() -> bytes:
            return b"".join(peer.received.get(stream, b"") for stream in (3, 7, 11))

        goaway = h3.frame(h3.GOAWAY, h3.number(4))  # nothing from stream 4 on
        async with asyncio.timeout(PATIENCE):
            while goaway not in control():
                await asyncio.sleep(0.02)
        peer.put(4, h3.headers(), end=True)
        async with asyncio.timeout(PATIENCE):
            while 4 not in peer.resets:
                await asyncio.sleep(0.02)
        assert peer.resets[4] == h3.REQUEST_REJECTED
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            while peer.terminated is None:
                await asyncio.sleep(0.02)
        assert 0 in peer.ended
        assert peer.status(0) == 200
        assert peer.code == 0x100  # H3_NO_ERROR
    with pytest.raises(pycurl.error):
        await ask(edge, "h3")


async def test_odd_names_are_let_in_where_they_are_expected_and_nowhere_else(edge: Edge) -> None:
    seen: list[set[str]] = []

    async def note(request: Request) -> Response:
        names = {name.decode() for name, _ in request.headers}
        seen.append({n for n in names - {"user-agent"} if "user" in n or "hook" in n})
        return Response(204)

    sent = [
        "X-User: plain", "User_Id: 7", "User-Id: forged", "Hook_a: 1", "Hook-B: forged", "Other_user: 1",
        "Hook_twice: 1", "Hook_twice: 2", "user.name: n", "hook_a.b: both",
    ]  # fmt: skip
    for expected, there in (
        ({}, {"x-user", "user-id", "hook-b"}),
        (
            {
                "expected_underscore_headers": ["User_ID", "hook_*"],
                "expected_dot_headers": ["user.name"],
            },
            {"x-user", "user_id", "hook_a", "user.name"},
        ),
    ):
        await edge.serve(note, **expected)
        for version in VERSIONS:
            assert (await ask(edge, version, *sent))[0] == 204
        assert seen == [there] * len(VERSIONS)
        seen.clear()


async def test_secrets_of_sessions_are_written_where_a_policy_says_so(
    edge: Edge, tmp_path: Path
) -> None:
    file = tmp_path / "keys.log"
    await edge.serve(tls_connection_policies=[{"insecure_secrets_log": str(file)}])
    for version in VERSIONS:
        assert (await ask(edge, version))[0] == 200
    lines = file.read_text().splitlines()
    sessions = {line.split()[1] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")}
    assert len(sessions) == len(VERSIONS)
    assert file.stat().st_mode & 0o777 == 0o600
