"""Deployments for the scenarios: every scenario runs in each topology."""

import ipaddress
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from quantum.testing.client import Site
from quantum.testing.compose import ComposeDeployment
from quantum.testing.topology import Deployment, free_port
from tests.e2e.document import platform_document
from tests.e2e.upstreams import Upstream

ROOT = Path(__file__).parents[2]


@dataclass
class Platform:
    """A running deployment and everything a scenario talks to."""

    topology: str
    deployment: Deployment | ComposeDeployment
    upstreams: list[Site]
    dials: list[str]
    share: Path
    plain: Site
    secure: Site
    redirect: Site
    admin: Site
    document: Callable[..., dict]

    def peer(self, answer: dict) -> str:
        """The address that an upstream must see as the client's."""
        seen = answer["headers"]["x-forwarded-for"]
        if self.topology == "compose":  # the published port's gateway, whichever network it has
            assert ipaddress.ip_address(seen).is_private
            return seen
        return "127.0.0.1"


def eventually(question: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``question`` is answered with something true; it fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)


@pytest.fixture(
    scope="module", params=["all", "split", pytest.param("compose", marks=pytest.mark.compose)]
)
def topology(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def platform(topology: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    site, share = folder / "site", folder / "share"
    for made in (site, share):
        made.mkdir()
        made.chmod(0o777)  # the container's user writes here too
    (site / "index.html").write_text("<h1>the site</h1>")
    (site / "page.html").write_text("<p>the same again</p>" * 200)
    (site / "template.html").write_text(
        '{{.Req.Method}} {{include "/part.html" 7}} {{httpInclude "/marker"}}'
    )
    (site / "part.html").write_text("part {{index .Args 0}}")
    (site / "packed.html").write_text("<p>plain</p>" * 100)
    (site / "packed.html.br").write_bytes(b"brotli")
    (site / "book.txt").write_bytes(b"one line of very many\n" * 100_000)
    (site / "big.bin").write_bytes(b"0123456789" * 200_000)
    run = containers if topology == "compose" else processes
    with run(topology, folder) as platform:
        yield platform


@contextmanager
def processes(topology: str, folder: Path) -> Iterator[Platform]:
    upstreams = [Upstream("one"), Upstream("two")]
    dials = [f"127.0.0.1:{u.port}" for u in upstreams]
    ports = {name: free_port() for name in ("http", "https", "plain", "admin")}
    places = {"site": folder / "site", "share": folder / "share"}

    def document(marker: str = "one") -> dict:
        return platform_document(**ports, **places, upstreams=dials, marker=marker)

    controls = [Site("127.0.0.1", u.port) for u in upstreams]
    with Deployment(topology, document()) as deployment:
        yield assemble(topology, deployment, ports, document, controls, dials, folder)
    for upstream in upstreams:
        upstream.close()


@contextmanager
def containers(topology: str, folder: Path) -> Iterator[Platform]:
    ports = {"http": 8080, "https": 8443, "plain": 8081, "admin": 2019}
    controls = [free_port(), free_port()]
    dials = ["app-1:9000", "app-2:9000"]
    places = {"site": Path("/site"), "share": Path("/sync")}

    def document(marker: str = "one") -> dict:
        return platform_document(**ports, **places, bind="", upstreams=dials, marker=marker)

    config, override = folder / "config.json", folder / "override.json"
    config.write_text(json.dumps(document()))
    config.chmod(0o644)
    mount = f"{config}:/etc/quantum/config.json:ro"
    rooms = ("edge", "proxy", "static", "sync", "health", "certs", "admin")
    services: dict = {room: {"volumes": [mount]} for room in rooms}
    services["edge"]["ports"] = ["127.0.0.1:8081:8081"]
    for room in ("static", "edge"):  # the file matcher looks where edge runs
        services[room]["volumes"].append(f"{folder / 'site'}:/site:ro")
    services["sync"]["volumes"].append(f"{folder / 'share'}:/sync")
    upstreams = ROOT / "tests" / "e2e" / "upstreams.py"
    for number, (name, port) in enumerate(zip(("one", "two"), controls, strict=True), 1):
        services[f"app-{number}"] = {
            "volumes": [f"{upstreams}:/upstreams.py:ro"],
            "entrypoint": ["python", "/upstreams.py", name, "9000"],
            "command": [],
            "ports": [f"127.0.0.1:{port}:9000"],
        }
    override.write_text(json.dumps({"services": services}))
    sites = [Site("127.0.0.1", port) for port in controls]
    with ComposeDeployment(ROOT, [override]) as deployment:
        yield assemble(topology, deployment, ports, document, sites, dials, folder)


def assemble(
    topology: str,
    deployment: Deployment | ComposeDeployment,
    ports: dict[str, int],
    document: Callable[..., dict],
    upstreams: list[Site],
    dials: list[str],
    folder: Path,
) -> Platform:
    admin = Site("127.0.0.1", ports["admin"])
    root = admin.get("/pki/ca/local").json()["root_certificate"]
    return Platform(
        topology, deployment, upstreams, dials, folder / "share",
        plain=Site("127.0.0.1", ports["plain"]),
        secure=Site("127.0.0.1", ports["https"], root),
        redirect=Site("127.0.0.1", ports["http"]),
        admin=admin, document=document,
    )  # fmt: skip
