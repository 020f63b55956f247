"""Deployments for the scenarios: every scenario runs in each topology."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port
from tests.e2e.document import platform_document
from tests.e2e.upstreams import Upstream


@dataclass
class Platform:
    """A running deployment and everything a scenario talks to."""

    topology: str
    deployment: Deployment
    upstreams: list[Upstream]
    share: Path
    plain: Site
    secure: Site
    redirect: Site
    admin: Site
    document: Callable[..., dict]


def eventually(question: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until ``question`` is answered with something true; it fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["all", "split"])
def topology(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def platform(topology: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    site, share = folder / "site", folder / "share"
    site.mkdir()
    share.mkdir()
    (site / "index.html").write_text("<h1>the site</h1>")
    (site / "big.bin").write_bytes(b"0123456789" * 200_000)
    upstreams = [Upstream("one"), Upstream("two")]
    ports = {name: free_port() for name in ("http", "https", "plain", "admin")}

    def document(marker: str = "one") -> dict:
        return platform_document(
            **ports, upstreams=[f"127.0.0.1:{u.port}" for u in upstreams],
            site=site, share=share, marker=marker,
        )  # fmt: skip

    with Deployment(topology, document()) as deployment:
        admin = Site("127.0.0.1", ports["admin"])
        root = admin.get("/pki/ca/local").json()["root_certificate"]
        yield Platform(
            topology, deployment, upstreams, share,
            plain=Site("127.0.0.1", ports["plain"]),
            secure=Site("127.0.0.1", ports["https"], root),
            redirect=Site("127.0.0.1", ports["http"]),
            admin=admin, document=document,
        )  # fmt: skip
    for upstream in upstreams:
        upstream.close()
