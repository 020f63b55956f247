"""The admin API over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.bus.subjects import (
    CONFIG,
    CONFIG_APPLIED,
    ROOMS,
    ConfigApplied,
    ConfigRevision,
    RoomPresence,
)
from quantum.clock import SystemClock
from quantum.config.load import index_ids
from quantum.config.model import locate
from quantum.errors import ConfigError
from quantum.hop.resolve import SERVICE_REVISION
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.service.api import Revision
from quantum.testing.context import TestContext, make_context, make_revision
from services.admin.config import AdminConfig
from services.admin.service import AdminService
from services.config import revision_id

FIRST = {
    "admin": {"listen": "localhost:0"},
    "apps": {"http": {"servers": {"a": {"listen": [":1"]}}}},
}
SECOND = {
    "admin": {"listen": "localhost:0"},
    "apps": {"http": {"servers": {"b": {"listen": [":2"]}}}},
}


def parse(document: Any) -> Revision:
    """Validate as far as these tests need: the admin section, unique ids, and a field that is bad."""
    if not isinstance(document, dict) or "apps" not in document:
        raise ConfigError("", "a configuration is a JSON object with apps")
    index_ids(document)
    if "bad" in document["apps"]:
        raise ConfigError("apps.bad", "unknown app 'bad'")
    admin = AdminConfig.parse(locate(document.get("admin", {}), "admin"))
    return make_revision(revision_id(document), document=document, sections={"admin": admin})


class Admin:
    """A running admin room, and a client of it."""

    def __init__(self, context: TestContext, service: AdminService) -> None:
        self.context = context
        self.service = service
        self.session = aiohttp.ClientSession()

    @property
    def base(self) -> str:
        assert self.service.listener is not None
        return f"http://127.0.0.1:{self.service.listener.port}"

    async def settled(self) -> None:
        """Return when nothing is under way behind an answer that was given."""
        for tasks in (self.service._tasks, self.service._store._tasks):
            while len(tasks):
                await tasks.wait(5.0)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        headers = {"Host": "localhost:0", **options.pop("headers", {})}
        async with self.session.request(
            method, self.base + path, headers=headers, **options
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, answer.headers


@contextlib.asynccontextmanager
async def running(
    data_dir: Path, bus: MemoryBus | None = None, document: Any = FIRST
) -> AsyncIterator[Admin]:
    context = make_context("admin", data_dir, bus=bus, parse=parse, clock=SystemClock())
    service = AdminService(context)
    await service.start()
    context.switch.use(service)
    await context.switch.apply(parse(document))
    admin = Admin(context, service)
    try:
        yield admin
    finally:
        await admin.session.close()
        await service.stop(1.0)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with running(tmp_path) as made:
        yield made


async def test_the_configuration_is_read_by_path_with_a_tag(admin: Admin):
    status, body, headers = await admin.ask("GET", "/config/apps/http/servers/a/listen/0")
    assert (status, body) == (200, ":1")
    assert headers["Etag"].startswith('"/config/apps/http/servers/a/listen/0 ')
    assert (await admin.ask("GET", "/config/"))[1] == FIRST
    assert (await admin.ask("GET", "/config/apps/absent"))[:2] == (200, None)
    assert (await admin.ask("GET", "/config/apps/http/servers/a/listen/7"))[0] == 400


async def test_a_loaded_document_is_in_force_everywhere_when_it_is_answered(admin: Admin):
    status, _, headers = await admin.ask("POST", "/load", json=SECOND)
    assert status == 200
    assert admin.context.switch.active.document == SECOND
    entry = await (await admin.context.bus.bucket(CONFIG)).get("active")
    assert entry.value.revision == headers["Quantum-Revision"] == revision_id(SECOND)


async def test_a_document_that_is_not_valid_changes_nothing_and_says_where(admin: Admin):
    status, body, _ = await admin.ask("POST", "/load", json={"apps": {"bad": {}}})
    assert status == 400
    assert body["error"].startswith("apps.bad: ")
    assert admin.context.switch.active.document == FIRST
    assert await (await admin.context.bus.bucket(CONFIG)).get("active") is None


@pytest.mark.parametrize(
    ("body", "fragment"),
    [(b"{", "request body:1:"), (b"", "request body:1:"), (b'{"a":1,"a":2}', "given twice"), (b"[" * 99999, "deep"), (b"\xff", "UTF-8")],
)  # fmt: skip
async def test_broken_json_is_a_bad_request(admin: Admin, body: bytes, fragment: str):
    headers = {"Content-Type": "application/json"}
    status, answer, _ = await admin.ask("POST", "/load", data=body, headers=headers)
    assert status == 400
    assert fragment in answer["error"]


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("text/plain", 403), ("application/x-www-form-urlencoded", 403), ("application/octet-stream", 400)],
)  # fmt: skip
async def test_only_json_is_taken_for_a_command(admin: Admin, content_type: str, expected: int):
    headers = {"Content-Type": content_type}
    status, _, _ = await admin.ask("POST", "/load", data=json.dumps(SECOND), headers=headers)
    assert status == expected
    assert admin.context.switch.active.document == FIRST


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"Host": "evil.example"}, 403), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 400), ({"Sec-Fetch-Mode": "no-cors"}, 400)],
)  # fmt: skip
async def test_strangers_are_refused_and_change_nothing(admin: Admin, headers, expected: int):
    status, _, answered = await admin.ask("POST", "/load", json=SECOND, headers=headers)
    assert status == expected
    assert "Access-Control-Allow-Origin" not in answered
    assert admin.context.switch.active.document == FIRST
    assert (await admin.ask("POST", "/stop", headers=headers))[0] == expected
    assert admin.context.stop_process.reasons == []


async def test_the_same_document_is_applied_again_only_when_told_to(admin: Admin):
    applied = len(admin.context.switch.applied)
    assert (await admin.ask("POST", "/load", json=FIRST))[0] == 200
    assert len(admin.context.switch.applied) == applied
    headers = {"Cache-Control": "must-revalidate"}
    assert (await admin.ask("POST", "/load", json=FIRST, headers=headers))[0] == 200
    assert len(admin.context.switch.applied) == applied + 1


async def test_parts_are_changed_by_path(admin: Admin):
    assert (await admin.ask("POST", "/config/apps/http/servers/a/listen", json=":9"))[0] == 200
    assert (await admin.ask("PUT", "/config/apps/tls/cache", json={"a": 1}))[0] == 200
    assert (await admin.ask("PUT", "/config/apps/tls", json={}))[0] == 409
    assert (await admin.ask("PATCH", "/config/apps/none", json={}))[0] == 404
    assert (await admin.ask("DELETE", "/config/apps/tls/cache"))[0] == 200
    assert (await admin.ask("DELETE", "/config/apps/tls/cache"))[0] == 404
    apps = admin.context.switch.active.document["apps"]
    assert apps == {"http": {"servers": {"a": {"listen": [":1", ":9"]}}}, "tls": {}}


async def test_deleting_everything_leaves_the_way_back_open(admin: Admin):
    assert (await admin.ask("DELETE", "/config/"))[0] == 200
    assert admin.context.switch.active.document == {"admin": FIRST["admin"], "apps": {}}
    assert (await admin.ask("POST", "/load", json=SECOND))[0] == 200


async def test_a_change_on_an_outdated_tag_is_refused(admin: Admin):
    path = "/config/apps/http/servers/a"
    tag = (await admin.ask("GET", path))[2]["Etag"]
    new = {"listen": [":3"]}
    assert (await admin.ask("PATCH", path, json=new, headers={"If-Match": tag}))[0] == 200
    assert (await admin.ask("PATCH", path, json={}, headers={"If-Match": tag}))[0] == 412
    assert (await admin.ask("POST", "/load", json=SECOND, headers={"If-Match": tag}))[0] == 412
    assert (await admin.ask("PATCH", path, json={}, headers={"If-Match": "x"}))[0] == 400
    assert admin.context.switch.active.document["apps"]["http"]["servers"]["a"] == new


async def test_an_object_is_found_by_its_id(admin: Admin):
    document = {**FIRST, "apps": {"http": {"servers": {"a": {"@id": "site", "listen": [":1"]}}}}}
    assert (await admin.ask("POST", "/load", json=document))[0] == 200
    status, body, headers = await admin.ask("GET", "/id/site/listen/0")
    assert (status, body) == (200, ":1")
    assert headers["Etag"].startswith('"/config/apps/http/servers/a/listen/0 ')
    assert (await admin.ask("PATCH", "/id/site/listen/0", json=":5"))[0] == 200
    assert (await admin.ask("GET", "/id/nobody"))[0] == 404
    twice = {**FIRST, "apps": {"x": {"@id": "a"}, "y": {"@id": "a"}}}
    assert (await admin.ask("POST", "/load", json=twice))[0] == 400


async def test_the_revision_of_the_start_can_be_gone_back_to(admin: Admin):
    await admin.settled()
    _, listed, _ = await admin.ask("GET", "/revisions")
    assert [(r["author"], r["active"]) for r in listed] == [("configuration file", True)]


async def test_adapting_changes_nothing(admin: Admin):
    status, body, _ = await admin.ask("POST", "/adapt", json=SECOND)
    assert (status, body) == (200, {"result": SECOND})
    assert admin.context.switch.active.document == FIRST


async def test_stop_and_metrics_and_wrong_methods(admin: Admin):
    assert (await admin.ask("GET", "/stop"))[0] == 405
    assert (await admin.ask("POST", "/stop"))[0] == 200
    assert len(admin.context.stop_process.reasons) == 1
    assert (await admin.ask("GET", "/load"))[0] == 405
    assert (await admin.ask("TRACE", "/config/"))[0] == 405
    assert (await admin.ask("GET", "/debug/pprof/"))[0] == 404
    url = admin.base + "/metrics"
    async with admin.session.get(url, headers={"Host": "localhost:0"}) as answer:
        assert "quantum_admin_config_changes_total" in await answer.text()


async def test_other_rooms_are_asked_over_the_hop(admin: Admin):
    class Upstreams:
        async def handle(self, request) -> Response:
            fields = Headers([(b"content-type", b"application/json")])
            return Response(200, fields, b'[{"address":"10.0.0.1:80","num_requests":1}]')

    assert (await admin.ask("GET", "/reverse_proxy/upstreams"))[0] == 503  # nobody runs the proxy
    with_proxy = admin.context.hop
    with_proxy._rooms = frozenset({"admin", "proxy"})
    with_proxy.table.install("proxy", SERVICE_REVISION, {"upstreams": Upstreams()})
    status, body, _ = await admin.ask("GET", "/reverse_proxy/upstreams")
    assert (status, body[0]["address"]) == (200, "10.0.0.1:80")


async def test_a_certificates_key_is_not_to_be_had(admin: Admin):
    assert (await admin.ask("GET", "/certificates/localhost"))[0] == 404


async def test_the_api_moves_and_the_answer_still_arrives(admin: Admin, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    old = admin.base
    moved = {**SECOND, "admin": {"listen": f"127.0.0.1:{port}"}}
    assert (await admin.ask("POST", "/load", json=moved))[0] == 200
    assert admin.base.endswith(f":{port}")
    assert (await admin.ask("GET", "/config/", headers={"Host": f"127.0.0.1:{port}"}))[0] == 200
    await admin.settled()
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as fresh:
            await fresh.get(old + "/config/")


async def test_an_address_in_use_refuses_the_configuration(admin: Admin):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        document = {**SECOND, "admin": {"listen": listen}}
        status, body, _ = await admin.ask("POST", "/load", json=document)
    assert status == 400
    assert body["error"].startswith("admin.listen: cannot listen on")
    assert admin.context.switch.active.document == FIRST


async def test_a_unix_socket_serves_with_its_mode(tmp_path: Path):
    path = tmp_path / "a.sock"
    path_left_behind = socket.socket(socket.AF_UNIX)
    path_left_behind.bind(str(path))
    path_left_behind.close()
    document = {**FIRST, "admin": {"listen": f"unix/{path}|0600"}}
    async with running(tmp_path, document=document):
        assert path.stat().st_mode & 0o777 == 0o600
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://admin/config/apps/http/servers/a/listen/0") as answer,
        ):
            assert await answer.json() == ":1"
    assert not path.exists()


async def test_a_silent_connection_is_closed(admin: Admin, monkeypatch):
    monkeypatch.setattr("services.admin.listener.HEADER_SECONDS", 0.1)
    port = int(admin.base.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /config/ HTTP/1.1\r\nHost: local")
    assert await asyncio.wait_for(reader.read(), 2.0) == b""
    writer.close()


async def test_a_hundred_changes_at_once_are_each_answered(admin: Admin):
    answers = await asyncio.gather(
        *(admin.ask("POST", "/load", json=FIRST if i % 2 else SECOND) for i in range(100))
    )
    assert {status for status, _, _ in answers} == {200}
    entry = await (await admin.context.bus.bucket(CONFIG)).get("active")
    assert entry.value.document == admin.context.switch.active.document


async def test_earlier_revisions_can_be_activated_again(admin: Admin):
    await admin.ask("POST", "/load", json=SECOND, headers={"Quantum-Author": "anna"})
    await admin.settled()
    await admin.ask("POST", "/load", json=FIRST)
    await admin.settled()
    _, listed, _ = await admin.ask("GET", "/revisions")
    assert [(r["author"], r["active"]) for r in listed] == [
        ("admin API, 127.0.0.1", True),
        ("anna", False),
    ]
    wanted = revision_id(SECOND)
    assert (await admin.ask("GET", f"/revisions/{wanted}"))[1] == SECOND
    assert (await admin.ask("POST", f"/revisions/{wanted}/activate"))[0] == 200
    assert admin.context.switch.active.id == wanted
    assert (await admin.ask("POST", "/revisions/unknown/activate"))[0] == 404


async def test_the_page_may_load_its_own_files_and_nothing_else(admin: Admin):
    for path, kind in [
        ("/", "html"),
        ("/dashboard.js", "javascript"),
        ("/dom.js", "javascript"),
        ("/dashboard.css", "css"),
    ]:
        navigation = {
            "Host": "localhost:0",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "none",
        }
        async with admin.session.get(admin.base + path, headers=navigation) as answer:
            text = await answer.text()
            assert answer.status == 200
            assert kind in answer.headers["Content-Type"]
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert "style=" not in text
            assert "onclick=" not in text
    assert (await admin.ask("GET", "/dashboard.py"))[0] == 404
    assert (await admin.ask("GET", "/../api.py"))[0] == 404
    assert (await admin.ask("POST", "/", json={}))[0] == 405


# With other processes about.


class Elsewhere:
    """Another process of the deployment, as seen on the bus."""

    def __init__(self, server: MemoryServer, refuses: str = "") -> None:
        self.bus = MemoryBus(server)
        self.seen: list[str] = []
        self._refuses = refuses

    async def start(self) -> None:
        presence = RoomPresence(process="p2", room="edge", address="unix//x", revision="")
        await (await self.bus.bucket(ROOMS)).put("edge.p2", presence)
        await (await self.bus.bucket(CONFIG)).watch(self._on_entry)

    async def _on_entry(self, entry) -> None:
        if entry.value is None:
            return
        self.seen.append(entry.value.revision)
        error = "edge: no such port" if entry.value.revision == self._refuses else ""
        ack = ConfigApplied(
            process="p2", rooms=["edge"], revision=entry.value.revision, error=error
        )
        await self.bus.publish(CONFIG_APPLIED, ack)


async def test_a_change_is_answered_when_the_others_have_it(tmp_path: Path):
    server = MemoryServer()
    elsewhere = Elsewhere(server)
    await elsewhere.start()
    async with running(tmp_path, MemoryBus(server)) as admin:
        status, _, headers = await admin.ask("POST", "/load", json=SECOND)
        assert status == 200
        assert "Warning" not in headers
        rooms = (await admin.ask("GET", "/rooms"))[1]
        assert rooms == [{"process": "p2", "parent": "", "room": "edge", "revision": ""}]
        assert elsewhere.seen == [revision_id(SECOND)]


async def test_a_refusal_elsewhere_puts_the_old_revision_back(tmp_path: Path):
    server = MemoryServer()
    elsewhere = Elsewhere(server, refuses=revision_id(SECOND))
    await elsewhere.start()
    async with running(tmp_path, MemoryBus(server)) as admin:
        third = {**FIRST, "apps": {}}
        assert (await admin.ask("POST", "/load", json=third))[0] == 200
        status, body, _ = await admin.ask("POST", "/load", json=SECOND)
        assert status == 400
        assert "edge: no such port" in body["error"]
        assert admin.context.switch.active.document == third
        await elsewhere.bus.settled()
        assert elsewhere.seen[-1] == revision_id(third)


async def test_a_silent_process_delays_but_does_not_stop_a_change(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("services.admin.store.APPLY_SECONDS", 0.1)
    server = MemoryServer()
    presence = RoomPresence(process="dead", room="edge", address="unix//x", revision="")
    await (await MemoryBus(server).bucket(ROOMS)).put("edge.dead", presence)
    async with running(tmp_path, MemoryBus(server)) as admin:
        status, _, headers = await admin.ask("POST", "/load", json=SECOND)
        assert status == 200
        assert "dead" in headers["Warning"]


async def test_a_change_made_elsewhere_at_the_same_time_wins(tmp_path: Path):
    server = MemoryServer()
    other = ConfigRevision(revision="x", document={}, author="b", at=datetime.now(UTC))
    async with running(tmp_path, MemoryBus(server)) as admin:
        await (await MemoryBus(server).bucket(CONFIG)).put("active", other)
        assert (await admin.ask("POST", "/load", json=SECOND))[0] == 409
        assert admin.context.switch.active.document == FIRST


async def test_without_the_bus_a_lone_process_reloads_and_shares_later(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("services.admin.store.RETRY_SHARE_SECONDS", 0.01)
    bus = MemoryBus(MemoryServer())
    async with running(tmp_path, bus) as admin:
        bus.cut()
        status, _, headers = await admin.ask("POST", "/load", json=SECOND)
        assert status == 200
        assert "shared when the bus is back" in headers["Warning"]
        assert admin.context.switch.active.document == SECOND
        assert (await admin.ask("GET", "/revisions"))[0] == 503
        await bus.restore()
        await admin.settled()
        entry = await (await bus.bucket(CONFIG)).get("active")
        assert entry.value.document == SECOND


async def test_without_the_bus_a_deployment_of_several_is_not_split(tmp_path: Path):
    server = MemoryServer()
    elsewhere = Elsewhere(server)
    await elsewhere.start()
    bus = MemoryBus(server)
    async with running(tmp_path, bus) as admin:
        assert (await admin.ask("POST", "/load", json=SECOND))[0] == 200
        bus.cut()
        status, body, _ = await admin.ask("POST", "/load", json=FIRST)
        assert status == 503
        assert "cannot be told" in body["error"]
        assert admin.context.switch.active.document == SECOND


async def test_a_caddyfile_is_loaded_and_its_warnings_are_answered(admin: Admin):
    headers = {"Content-Type": "text/caddyfile"}
    text = "{\n  admin localhost:0\n}\n\n:1 {\n}\n"
    status, answer, _ = await admin.ask("POST", "/load", data=text, headers=headers)
    assert status == 200
    assert admin.context.switch.active.document == {
        "admin": {"listen": "localhost:0"},
        "apps": {"http": {"servers": {"srv0": {"listen": [":1"]}}}},
    }
    assert answer["warnings"][0]["line"] == 2
    assert "not formatted" in answer["warnings"][0]["message"]


async def test_a_caddyfile_is_adapted_without_being_loaded(admin: Admin):
    headers = {"Content-Type": "text/caddyfile"}
    text = "{\n\tpersist_config off\n}\n"
    status, answer, _ = await admin.ask("POST", "/adapt", data=text, headers=headers)
    assert (status, answer) == (
        200,
        {"result": {"admin": {"config": {"persist": False}}}},
    )
    assert admin.context.switch.active.document == FIRST


async def test_a_mistake_in_a_caddyfile_is_named_as_caddy_names_it(admin: Admin):
    headers = {"Content-Type": "text/caddyfile"}
    status, answer, _ = await admin.ask("POST", "/load", data=":80 {\n\tx\n}\n", headers=headers)
    assert status == 400
    assert answer["error"] == (
        "adapting config using caddyfile adapter: Caddyfile:2: unrecognized directive: x"
    )
    assert admin.context.switch.active.document == FIRST
