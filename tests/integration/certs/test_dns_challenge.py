"""Wildcards from a real ACME authority (Pebble), proven by records in a real name server (Knot)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dns import asyncquery, message, rcode

from quantum.testing.debian import has_program
from quantum.testing.topology import free_port
from services.certs import book
from tests.integration.certs.pebble import HAS_PEBBLE, World

pytestmark = pytest.mark.skipif(
    not (HAS_PEBBLE and has_program("knotd", "knot")),
    reason="Debian's packages pebble and knot are not here and cannot be installed",
)

KEY = "cWnu6Ju9zOki4f7Q+da2KKGo0KOXbCf6Pej6hW3geC4="
CONFIG = """\
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
database:
    storage: "{folder}"
key:
  - id: quantum
    algorithm: hmac-sha256
    secret: {key}
acl:
  - id: updates
    key: quantum
    action: update
zone:
  - domain: site.test
    storage: "{folder}"
    file: site.test.zone
    acl: updates
"""
ZONE = """\
$ORIGIN site.test.
@ 1 SOA ns admin 1 60 60 600 1
@ 1 NS ns
ns 1 A 127.0.0.1
"""


class Knot:
    """The name server of the zone site.test, which takes updates signed with KEY."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = free_port()
        (folder / "site.test.zone").write_text(ZONE)
        config = CONFIG.format(folder=folder, port=self.port, key=KEY)
        (folder / "knot.conf").write_text(config)

    async def start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "knotd", "-c", str(self._folder / "knot.conf"), stdout=log, stderr=log
            )
        async with asyncio.timeout(20):
            while await self.answer("site.test", "SOA") is not rcode.NOERROR:
                await asyncio.sleep(0.05)

    async def answer(self, name: str, kind: str) -> rcode.Rcode | None:
        question = message.make_query(name, kind)
        with contextlib.suppress(Exception):
            return (await asyncquery.tcp(question, "127.0.0.1", 1.0, self.port)).rcode()
        return None

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


@pytest.fixture
async def knot(tmp_path: Path) -> AsyncIterator[Knot]:
    made = Knot(tmp_path / "knot")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def world(tmp_path: Path, knot: Knot) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start(name_server=knot.port)
    yield made
    await made.stop()


def issuer(world: World, knot: Knot, key: str = KEY) -> dict[str, Any]:
    server = f"127.0.0.1:{knot.port}"
    provider = {"name": "rfc2136", "server": server, "key_name": "quantum", "key": key}
    return {
        "module": "acme",
        "ca": world.pebble.directory,
        "trusted_roots_pem_files": [str(world.pebble.root)],
        "challenges": {"dns": {"provider": provider, "resolvers": [server]}},
    }


async def test_a_wildcard_and_its_name_are_certified_and_no_record_stays(world: World, knot: Knot):
    await world.automate("*.site.test", "site.test", issuer=issuer(world, knot))
    assert (await world.wait_for("*.site.test", 60)).subjects == ["*.site.test"]
    assert (await world.wait_for("site.test", 60)).subjects == ["site.test"]
    async with asyncio.timeout(20):
        while await knot.answer("_acme-challenge.site.test", "TXT") is not rcode.NXDOMAIN:
            await asyncio.sleep(0.05)


async def test_a_refused_update_is_told_and_the_right_key_helps(
    world: World, knot: Knot, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(book, "retry_delay", lambda count, ordered: 0.1)
    wrong = issuer(world, knot, key="AAAA6Ju9zOki4f7Q+da2KKGo0KOXbCf6Pej6hW3geC4=")
    await world.automate("*.site.test", issuer=wrong)
    async with asyncio.timeout(20):
        while "*.site.test" not in world.service._book._failures:
            await asyncio.sleep(0.05)
    await world.automate("*.site.test", issuer=issuer(world, knot))
    assert (await world.wait_for("*.site.test", 60)).subjects == ["*.site.test"]
