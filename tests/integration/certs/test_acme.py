"""Certificates from a real ACME authority (Pebble), proven over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from quantum.bus.subjects import CHALLENGES
from services.certs import book
from services.certs.config import AcmeIssuerConfig
from services.certs.issuers import zerossl
from services.edge.automatic_https.challenges import PREFIX
from tests.integration.certs.pebble import HAS_PEBBLE, World
from tests.integration.webserver import WebServer

pytestmark = pytest.mark.skipif(
    not HAS_PEBBLE, reason="Debian's package pebble is not here and cannot be installed"
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_name_is_certified_although_nonces_are_refused(world: World):
    await world.automate("site.test")
    ready = await world.wait_for("site.test")
    assert ready.subjects == ["site.test"]
    assert ready.issuer.endswith("-dir")
    assert [status for _, status in world.site.asked][-1] == 200
    files = [f for f in (world.folder / "data").rglob("*") if f.is_file()]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
    assert any(f.name == "site.test.key" for f in files)
    await asyncio.sleep(0.2)
    assert await (await world.context.bus.bucket(CHALLENGES)).keys() == []


async def test_a_lifetime_is_ordered_where_one_is_configured(world: World):
    issuer = {
        "module": "acme",
        "ca": world.pebble.directory,
        "trusted_roots_pem_files": [str(world.pebble.root)],
        "certificate_lifetime": "2h",
    }
    await world.automate("site.test", issuer=issuer)
    ready = await world.wait_for("site.test", 60.0)
    assert timedelta(hours=1) < ready.not_after - datetime.now(UTC) <= timedelta(hours=2)


async def test_strangers_learn_nothing_from_the_challenge_path(world: World):
    await world.automate("site.test")
    await world.wait_for("site.test")
    path = world.site.asked[-1][0]
    assert path.startswith(PREFIX)
    await asyncio.sleep(0.2)
    assert world.site.answer(path) is None  # the challenge is closed
    assert world.site.answer(PREFIX + "../../etc/passwd") is None
    assert world.site.answer(PREFIX) is None


async def test_an_account_that_the_authority_lost_is_made_again(world: World):
    await world.automate("one.test")
    await world.wait_for("one.test")
    await world.pebble.stop(last=1)
    await world.pebble.start_authority()
    await world.automate("one.test", "two.test")
    assert (await world.wait_for("two.test")).subjects == ["two.test"]


async def test_a_proof_that_fails_is_tried_again_later_and_not_at_once(world: World, monkeypatch):
    monkeypatch.setattr(book, "retry_delay", lambda count, ordered: 1.0)
    world.site.is_deaf = True
    with capture_logs() as logs:
        await world.automate("site.test")
        async with asyncio.timeout(20):
            while "site.test" not in world.service._book._failures:
                await asyncio.sleep(0.05)
    assert world.service._book.pending() == ["site.test"]
    told = [line["reason"] for line in logs if line["event"] == "acme_proof_refused"]
    assert [reason.partition(":")[0] for reason in told[:2]] == ["http-01", "tls-alpn-01"]
    world.site.is_deaf = False
    await world.wait_for("site.test", 20.0)


async def test_an_authority_that_is_away_delays_and_nothing_else(world: World, monkeypatch):
    monkeypatch.setattr(book, "retry_delay", lambda count, ordered: 1.0)
    await world.pebble.stop(last=1)
    await world.automate("site.test")
    await asyncio.sleep(1.0)
    assert world.service._book.pending() == ["site.test"]
    await world.pebble.start_authority()
    await world.wait_for("site.test", 20.0)


async def test_zerossl_binds_the_account_to_the_owner_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

    def give(path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        if query["access_key"] != ["sesame"]:
            return 200, b'{"success": false, "error": {"code": 101, "type": "invalid_access_key"}}'
        return 200, json.dumps({"success": 1, "eab_kid": "kid-1", "eab_hmac_key": mac}).encode()

    required = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": mac}}
    world = World(tmp_path, **required)
    roots = {"trusted_roots_pem_files": [str(world.pebble.root)]}
    monkeypatch.setattr(zerossl, "AcmeIssuerConfig", partial(AcmeIssuerConfig, **roots))
    monkeypatch.setattr(zerossl, "DIRECTORY", world.pebble.directory)
    await world.start()
    try:
        async with WebServer(give) as api:
            monkeypatch.setattr(zerossl, "CREDENTIALS", f"{api.url}/acme/eab-credentials")
            await world.automate("site.test", issuer={"module": "zerossl", "api_key": "wrong"})
            async with asyncio.timeout(20):
                while "site.test" not in world.service._book._failures:
                    await asyncio.sleep(0.05)
            await world.automate("site.test", issuer={"module": "zerossl", "api_key": "sesame"})
            world.service._book._failures.clear()
            await world.service._book._try("site.test")
            assert (await world.wait_for("site.test")).subjects == ["site.test"]
        assert api.asked[-1] == "/acme/eab-credentials?access_key=sesame"
    finally:
        await world.stop()
