"""A site, and what serves it."""

from datetime import UTC, datetime, timedelta

import pytest

from quantum.modules.config import use_registry
from quantum.modules.registry import Registry
from quantum.testing.clock import ManualClock
from quantum.testing.context import make_context, make_module, make_revision
from services.static.manifest import MANIFEST
from services.static.service import StaticService


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "docs/index.html").write_text("docs")
    (root / "a b.txt").write_text("0123456789")
    (root / "data.unknown").write_bytes(b"\x00\x01")
    (tmp_path / "secret.txt").write_text("secret")
    return root


@pytest.fixture
def serve(root, tmp_path):
    clock = ManualClock(start=datetime.now(UTC) + timedelta(hours=1))

    async def make(**fields):
        context = make_context("static", tmp_path, clock=clock)
        with use_registry(Registry(MANIFEST.modules)):
            module = make_module(MANIFEST.modules[0], {"root": str(root), **fields})
        service = StaticService(context)
        (await service.prepare(make_revision(modules=(module,)))).commit()
        return context.hop.handler("static", "r1", module.path)

    return make
