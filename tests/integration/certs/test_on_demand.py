"""Names that no configuration spells out: who allows them, who has certificates for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from quantum.errors import ConfigError, HttpError
from services.certs.config import AuthorityConfig
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.material import key_pem, make_key
from services.certs.ondemand import managed, managers, permission
from tests.integration.certs.test_local_authority import Room
from tests.integration.webserver import WebServer

ALLOWED = {"yes.example", "also.example"}


def permitting(path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
    if path == "/moved":
        return 302, b""
    return (200 if query["domain"][0] in ALLOWED or path == "/yes" else 403), b""


def on_demand(endpoint: str, **policy: Any) -> dict[str, Any]:
    issuers = {"issuers": [{"module": "internal"}], "on_demand": True, **policy}
    module = {"module": "http", "endpoint": endpoint}
    automation = {"policies": [issuers], "on_demand": {"permission": module}}
    return {"apps": {"tls": {"automation": automation}}}


@pytest.fixture
async def asked() -> AsyncIterator[WebServer]:
    async with WebServer(permitting) as server:
        yield server


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    yield made
    await made.service.stop(1.0)


async def names_in(answer: tuple[int, bytes]) -> list[str]:
    status, body = answer
    assert status == 200, body
    return list(json.loads(body)["subjects"])


async def refusal(room: Room, name: str) -> int:
    with pytest.raises(HttpError) as caught:
        await room.ask(f"/certificates/{name}")
    return caught.value.status


async def test_a_name_that_is_allowed_gets_a_certificate_and_is_asked_for_once(
    room: Room, asked: WebServer
) -> None:
    await room.start(on_demand(f"{asked.url}/ask?from=edge"))
    found = await asyncio.gather(*(room.ask("/certificates/yes.example") for _ in range(5)))
    assert [await names_in(answer) for answer in found] == [["yes.example"]] * 5
    assert await refusal(room, "no.example") == 404
    await room.ask("/certificates/yes.example")
    assert set(asked.asked) == {
        "/ask?from=edge&domain=yes.example", "/ask?from=edge&domain=no.example"
    }  # fmt: skip


async def test_what_was_stored_is_given_only_while_it_is_allowed(
    tmp_path: Path, asked: WebServer
) -> None:
    first = await Room(tmp_path).start(on_demand(asked.url))
    await first.ask("/certificates/yes.example")
    await first.service.stop(1.0)
    again = await Room(tmp_path).start(on_demand(f"{asked.url}/moved"))
    assert await refusal(again, "yes.example") == 404  # a redirect is no yes
    await again.service.stop(1.0)


async def test_an_endpoint_that_is_away_allows_nothing(room: Room) -> None:
    await room.start(on_demand("http://127.0.0.1:9/ask"))
    assert await refusal(room, "yes.example") == 503


async def test_names_wait_for_permission_in_moderation(
    room: Room, asked: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission, "MAX_ASKING", 2)
    await room.start(on_demand(asked.url))
    asked.gate = asyncio.Event()
    waiting = [asyncio.create_task(refusal(room, f"n{n}.example")) for n in range(2)]
    while len(asked.asked) < 2:
        await asyncio.sleep(0.01)
    assert await refusal(room, "yes.example") == 503
    asked.gate.set()
    assert await asyncio.gather(*waiting) == [404, 404]


async def test_a_wildcard_says_what_is_allowed_and_each_name_gets_its_own(
    room: Room, asked: WebServer
) -> None:
    ALLOWED.add("a.wild.test")
    document = on_demand(asked.url, subjects=["*.wild.test"])
    route = {"match": [{"host": ["*.wild.test"]}], "handle": [{"handler": "static_response"}]}
    servers = {"s": {"listen": [":8443"], "routes": [route]}}
    document["apps"]["http"] = {"servers": servers}
    await room.start(document)
    assert await names_in(await room.ask("/certificates/a.wild.test")) == ["a.wild.test"]
    assert await refusal(room, "b.wild.test") == 404


async def test_a_certificate_ends_when_its_name_is_not_allowed_any_more(
    room: Room, asked: WebServer
) -> None:
    ALLOWED.add("gone.example")
    await room.start(on_demand(asked.url, issuers=[{"module": "internal", "lifetime": "2s"}]))
    await room.ask("/certificates/gone.example")
    ALLOWED.remove("gone.example")
    async with asyncio.timeout(30):
        while "gone.example" in room.service._book.all():
            await asyncio.sleep(0.1)
            await room.service._book.tick()
    assert await refusal(room, "gone.example") == 404


async def test_whoever_could_order_for_any_name_is_refused(room: Room) -> None:
    policies = [{"on_demand": True}]
    with pytest.raises(ConfigError, match="permission") as caught:
        await room.start({"apps": {"tls": {"automation": {"policies": policies}}}})
    assert caught.value.path == "apps.tls.automation.policies[0].on_demand"


# Managers.


class Elsewhere:
    """A program that makes certificates and has them ready."""

    def __init__(self, folder: Path, clock: Any) -> None:
        folder.mkdir()
        self._authority = Authority("other", AuthorityConfig(), Storage(folder), clock)
        self.status = 200
        self.name = ""

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        name = query["server_name"][0]
        if not name.endswith(".managed.test"):
            return 204, b""
        key = make_key("p256")
        chain = self._authority.sign(key.public_key(), self.name or name, 3600)
        return self.status, key_pem(key) + chain


def serial_of(answer: tuple[int, bytes]) -> int:
    pem = json.loads(answer[1])["certificate"].encode()
    return x509.load_pem_x509_certificate(pem).serial_number


async def test_a_manager_gives_what_it_has_and_others_sign_for_the_rest(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Elsewhere(tmp_path / "elsewhere", room.context.clock)
    async with WebServer(elsewhere.answer) as server:
        policy = {"get_certificate": [{"via": "http", "url": f"{server.url}/get"}]}
        automation = {"policies": [policy]}
        certificates = {"automate": ["own.test"]}
        await room.start(
            {"apps": {"tls": {"automation": automation, "certificates": certificates}}}
        )
        first = await room.ask("/certificates/a.managed.test")
        assert json.loads(first[1])["issuer"] == managers.MANAGED
        assert serial_of(await room.ask("/certificates/a.managed.test")) == serial_of(first)
        assert json.loads((await room.ask("/certificates/own.test"))[1])["issuer"] == "local"
        assert await refusal(room, "stranger.test") == 404
        monkeypatch.setattr(managed, "FRESH_SECONDS", 0.0)  # for what is kept from now on
        room.service._book._managed.clear()
        renewed = await room.ask("/certificates/a.managed.test")
        assert serial_of(renewed) != serial_of(first)
        elsewhere.status = 500
        assert serial_of(await room.ask("/certificates/a.managed.test")) == serial_of(renewed)
        assert await refusal(room, "b.managed.test") == 503
        elsewhere.status, elsewhere.name = 200, "c.other.test"
        assert await refusal(room, "b.managed.test") == 503  # not a certificate for that name


async def test_without_a_daemon_tailscale_says_so(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managers, "TAILSCALE_SOCKET", tmp_path / "absent.sock")
    policy = {"get_certificate": [{"via": "tailscale"}]}
    await room.start({"apps": {"tls": {"automation": {"policies": [policy]}}}})
    with pytest.raises(HttpError, match="is tailscaled running") as caught:
        await room.ask("/certificates/box.tail1234.ts.net")
    assert caught.value.status == 503
    assert await refusal(room, "elsewhere.test") == 404


async def test_tailscales_daemon_gives_its_names(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "tailscaled.sock"
    monkeypatch.setattr(managers, "TAILSCALE_SOCKET", socket)
    authority = Authority("ts", AuthorityConfig(), Storage(tmp_path / "ts"), room.context.clock)
    (tmp_path / "ts").mkdir()
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        key = make_key("p256")
        pem = key_pem(key) + authority.sign(key.public_key(), "box.tail1234.ts.net", 3600)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(pem), pem))
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, socket):
        policy = {"get_certificate": [{"via": "tailscale"}]}
        await room.start({"apps": {"tls": {"automation": {"policies": [policy]}}}})
        status, _ = await room.ask("/certificates/box.tail1234.ts.net")
    assert status == 200
    assert asked == ["/localapi/v0/cert/box.tail1234.ts.net?type=pair"]


# What lies in the storage already.


async def test_a_pair_in_the_storage_is_served_and_nothing_outside_of_it(
    room: Room, tmp_path: Path
) -> None:
    key = make_key("p256")
    authority = Authority("x", AuthorityConfig(), Storage(tmp_path), room.context.clock)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.key").write_bytes(key_pem(key))
    (tmp_path / "mine" / "a.crt").write_bytes(authority.sign(key.public_key(), "a.test", 3600))
    pair = {"certificate": "mine/a.crt", "key": "mine/a.key"}
    tls = {"certificates": {"load_storage": {"pairs": [pair]}}}
    await room.start({"apps": {"tls": tls}})
    assert await names_in(await room.ask("/certificates/a.test")) == ["a.test"]
    status, body = await room.ask("/stored/mine%2Fa.crt")
    assert (status, body.count(b"BEGIN CERTIFICATE")) == (200, 2)
    for key_or_way_out in ("mine%2Fa.key", "..%2F..%2Fetc%2Fssl%2Fcerts%2Fca-certificates.crt"):
        with pytest.raises(HttpError):
            await room.ask(f"/stored/{key_or_way_out}")
    outside = {"certificate": "../a.crt", "key": "../a.key"}
    tls = {"certificates": {"load_storage": {"pairs": [outside]}}}
    revision = room.context.switch.parse({"apps": {"tls": tls}})
    with pytest.raises(ConfigError, match="leads out of the storage"):
        await room.context.switch.apply(revision)


async def test_keys_are_kept_where_that_is_asked(room: Room) -> None:
    policy = {
        "issuers": [{"module": "internal", "lifetime": "2s"}],
        "reuse_private_keys": True,
    }
    tls = {"certificates": {"automate": ["a.test"]}, "automation": {"policies": [policy]}}
    await room.start({"apps": {"tls": tls}})
    first = json.loads((await room.ask("/certificates/a.test"))[1])
    async with asyncio.timeout(30):
        while (second := json.loads((await room.ask("/certificates/a.test"))[1]))[
            "fingerprint"
        ] == first["fingerprint"]:
            await asyncio.sleep(0.1)
            await room.service._book.tick()
    assert second["key"] == first["key"]
