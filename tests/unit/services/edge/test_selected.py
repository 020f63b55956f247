"""Certificates for policies that select: fetched as a list, chosen by name, kept for when certs is away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from quantum.hop.resolve import SERVICE_REVISION
from quantum.http.message import Request, Response
from quantum.modules.selection import CertificateSelection
from quantum.tasks import TaskSet
from quantum.testing.context import make_context
from services.edge.tls.selected import FRESH_SECONDS, SelectedCertificates

SELECTION = CertificateSelection(any_tag=("site",))


def pair(fingerprint: str, *subjects: str, end: str = "2030-01-01") -> dict[str, Any]:
    return {
        "fingerprint": fingerprint, "subjects": subjects, "not_after": end,
        "key": "KEY", "certificate": "CHAIN",
    }  # fmt: skip


class Certs:
    """The certs room: what it has, and whether it answers."""

    def __init__(self, *pairs: dict[str, Any]) -> None:
        self.pairs = list(pairs)
        self.is_away = False
        self.asked: list[str] = []

    async def handle(self, request: Request) -> Response:
        self.asked.append(request.path)
        return Response(503 if self.is_away else 200, None, json.dumps(self.pairs).encode())


class World:
    def __init__(self, folder: Path, certs: Certs) -> None:
        self.context = make_context("edge", folder, rooms=frozenset({"edge", "certs"}))
        self.context.hop.table.install("certs", SERVICE_REVISION, {"certificates": certs})
        self.tasks = TaskSet("test")
        self.gone: set[str] = set()
        self.selected = SelectedCertificates(
            self.context, self.tasks, folder / "selected", self.gone.update
        )

    def shown(self, name: str) -> str | None:
        found = self.selected.find(SELECTION, name)
        return None if found is None else found.fingerprint


@pytest.fixture
def certs() -> Certs:
    return Certs(
        pair("wild", "*.a.test"),
        pair("exact", "b.a.test"),
        pair("late", "c.test", end="2031-01-01"),
        pair("early", "c.test"),
    )


async def test_the_best_of_the_list_is_shown(tmp_path: Path, certs: Certs) -> None:
    world = World(tmp_path, certs)
    assert world.shown("b.a.test") is None
    await world.selected.obtain(SELECTION)
    names = ("b.a.test", "x.a.test", "c.test", "unknown.test")
    assert [world.shown(name) for name in names] == ["exact", "wild", "late", "late"]
    found = world.selected.find(SELECTION, "c.test")
    assert found is not None
    assert found.file.read_text() == "KEY\nCHAIN"
    assert found.file.stat().st_mode & 0o777 == 0o600
    assert "any_tag" in certs.asked[0]


async def test_a_list_that_is_old_is_fetched_again_while_it_serves(tmp_path, certs) -> None:
    world = World(tmp_path, certs)
    await world.selected.obtain(SELECTION)
    certs.pairs = [pair("next", "c.test")]
    assert world.shown("c.test") == "late"
    assert len(certs.asked) == 1
    await world.context.clock.advance(FRESH_SECONDS)
    assert world.shown("c.test") == "late"
    await eventually(lambda: world.shown("c.test") == "next")
    assert world.gone == {"wild", "exact", "late", "early"}
    assert [f.name for f in (tmp_path / "selected").glob("*.pem")] == ["next.pem"]


async def test_what_was_fetched_before_serves_while_certs_is_away(tmp_path, certs) -> None:
    await World(tmp_path, certs).selected.obtain(SELECTION)
    certs.is_away = True
    world = World(tmp_path, certs)
    await world.selected.obtain(SELECTION)
    assert world.shown("b.a.test") == "exact"


async def eventually(question) -> None:
    async with asyncio.timeout(20):
        while not question():
            await asyncio.sleep(0.005)
