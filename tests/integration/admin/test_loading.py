"""``admin.config.load``: the next configuration is asked for at an address, and what goes wrong changes nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from quantum.errors import ConfigError
from services.admin.config import AdminConfig
from services.admin.loading import fetch
from tests.integration.admin.test_api import FIRST, SECOND, running

PATIENCE = 30


class Server:
    """Answers with what a test puts there: (status, body, content type), the last one again and again."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.heard = asyncio.Event()

    async def handle(self, request):
        self.asked.append((request.method, request.headers.get("X-Key")))
        self.heard.set()
        status, body, kind = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=body, content_type=kind)

    async def asked_times(self, count):
        async with asyncio.timeout(PATIENCE):
            while len(self.asked) < count:
                self.heard.clear()
                await self.heard.wait()


@pytest.fixture
async def server():
    found = Server()
    application = web.Application()
    application.router.add_route("*", "/config", found.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/config"
    yield found
    await runner.cleanup()


def asking(url, delay=None, **more):
    config = {"load": {"module": "http", "url": url, **more}}
    if delay is not None:
        config["load_delay"] = delay
    return {"admin": {"listen": "localhost:0", "config": config}, "apps": FIRST["apps"]}


async def in_force(admin, document):
    async with asyncio.timeout(PATIENCE):
        while admin.context.switch.active.document != document:
            await asyncio.sleep(0.01)


def answer(document, status=200, kind="application/json"):
    return (status, json.dumps(document), kind)


async def test_what_the_address_answers_is_in_force(server, tmp_path):
    server.answers = [answer(SECOND)]
    first = asking(server.url, method="post", header={"X-Key": ["{system.os}"]})
    async with running(tmp_path, document=first) as admin:
        await in_force(admin, SECOND)
        assert server.asked == [("POST", "linux")]


async def test_with_a_delay_it_is_asked_until_something_has_changed(server, tmp_path):
    first = asking(server.url, "10ms")
    server.answers = [
        (500, "", "text/plain"),
        (200, "no json", "application/json"),
        answer(first),
        answer({"apps": {"bad": 1}}),
        answer(SECOND),
    ]
    async with running(tmp_path, document=first) as admin:
        await in_force(admin, SECOND)
        asked = len(server.asked)
        assert asked == 5
        await admin.settled()
        assert admin.service._loader._asking is None


async def test_one_that_was_loaded_may_go_on_after_a_delay(server, tmp_path):
    second = asking(server.url, "10ms", timeout="20s")
    server.answers = [answer(second), answer(SECOND)]
    async with running(tmp_path, document=asking(server.url)) as admin:
        await in_force(admin, SECOND)


@pytest.mark.parametrize("status", [200, 404])
async def test_one_that_names_another_at_once_or_is_not_there_changes_nothing(
    server, tmp_path, status
):
    first = asking(server.url)
    server.answers = [answer(asking(server.url, header={"X": ["1"]}), status)]
    async with running(tmp_path, document=first) as admin:
        await server.asked_times(1)
        task = admin.service._loader._asking
        if task is not None:
            await asyncio.wait([task], timeout=PATIENCE)
        assert admin.context.switch.active.document == first
        assert len(server.asked) == 1


async def test_a_caddyfile_is_adapted(server):
    server.answers = [(200, ":8080\nrespond hi\n", "text/plain")]
    loader = AdminConfig.parse(
        {"config": {"load": {"module": "http", "url": server.url, "adapter": "caddyfile"}}}
    ).config.load
    assert "apps" in await fetch(loader)


async def test_a_change_by_the_api_ends_the_asking_of_the_former_configuration(server, tmp_path):
    server.answers = [answer(FIRST)]
    async with running(tmp_path, document=asking(server.url, "1h")) as admin:
        task = admin.service._loader._asking
        status, _, _ = await admin.ask("POST", "/load", json=SECOND)
        assert status == 200
        await asyncio.wait([task], timeout=PATIENCE)
        assert task.cancelled()
        assert server.asked == []


@pytest.mark.parametrize(
    ("load", "path"),
    [({"module": "http", "url": "ftp://x"}, "url"), ({"module": "http"}, "url"), ({"module": "https", "url": "http://x"}, "module"),
     ({"module": "http", "url": "http://x", "adapter": "yaml"}, "adapter"), ({"module": "http", "url": "http://x", "tls": {"use_server_identity": True}}, "tls.use_server_identity")],
)  # fmt: skip
def test_what_is_not_obeyed_is_refused_with_its_path(load, path):
    with pytest.raises(ConfigError) as caught:
        AdminConfig.parse({"config": {"load": load}})
    assert caught.value.path == f"config.load.{path}"
