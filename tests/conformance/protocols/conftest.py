"""One list of sentences for every version of HTTP, in both topologies: the deployment and the clients."""

import asyncio
import ssl
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, descendants, free_port
from tests.conformance.protocols.clients.api import Client
from tests.conformance.protocols.clients.h1 import H1Client
from tests.conformance.protocols.clients.h2 import H2Client
from tests.conformance.protocols.clients.h3 import H3Client
from tests.conformance.protocols.origin import Origin

PROTOCOLS = ("h1", "h1-tls", "h2", "h3")
_passed: Counter[str] = Counter()


@dataclass
class Stage:
    """A running deployment in front of an origin."""

    deployment: Deployment
    origin: Origin
    document: dict[str, Any]
    ports: dict[str, int]
    root: str = ""
    tokens: Iterator[str] = field(default_factory=lambda: iter(lambda: uuid.uuid4().hex[:8], ""))

    def tls(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.root)
        context.set_alpn_protocols(list(alpn))
        return context

    def processes(self) -> list[int]:
        """The data plane's processes."""
        names = ("edge", "proxy") if "edge" in self.deployment.members else ("quantum",)
        found = []
        for name in names:
            process = self.deployment.members[name].process
            assert process is not None
            found += [process.pid, *descendants(process.pid)]
        return [p for p in found if b"nats-server" not in Path(f"/proc/{p}/cmdline").read_bytes()]

    def memory(self) -> int:
        """Bytes resident in the data plane."""
        return sum(_status(pid, "VmRSS") for pid in self.processes())

    def peak(self) -> int:
        """The most it ever was, since ``forget_peak``."""
        return sum(_status(pid, "VmHWM") for pid in self.processes())

    def forget_peak(self) -> None:
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def reload(self) -> None:
        """Load the configuration again, changed in a way that no route sees."""
        self.document["apps"]["http"]["servers"]["plain"]["max_header_bytes"] += 1
        admin = Site("127.0.0.1", self.ports["admin"])
        import json

        body = json.dumps(self.document).encode()
        answer = admin.request("POST", "/load", body, Content_Type="application/json")
        assert answer.status == 200, answer.text

    async def connect(self, protocol: str) -> Client:
        if protocol == "h1":
            return await H1Client.connect(self.ports["plain"], None)
        if protocol == "h1-tls":
            return await H1Client.connect(self.ports["secure"], self.tls("http/1.1"))
        if protocol == "h2":
            return await H2Client.connect(self.ports["secure"], self.tls("h2"))
        return await H3Client.connect(self.ports["secure"], self.root)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def document(ports: dict[str, int], upstream: int) -> dict[str, Any]:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{upstream}"}],
        "flush_interval": -1,
    }
    early = {
        "match": [{"path": ["/early"]}],
        "handle": [
            {"handler": "static_response", "status_code": 103, "headers": {"Link": ["</a>"]}},
            {"handler": "static_response", "body": "ok"},
        ],
    }
    refused = {
        "match": [{"path": ["/refused"]}],
        "handle": [{"handler": "static_response", "status_code": 403}],
    }
    hurried = {
        "match": [{"path": ["/hurried/*"]}],
        "handle": [
            {"handler": "timeouts", "read_timeout": "1s", "write_timeout": "1s"},
            {"handler": "rewrite", "strip_path_prefix": "/hurried"},
        ],
    }
    routes = [early, refused, hurried, {"handle": [proxy]}]
    return {
        "admin": {"listen": f"127.0.0.1:{ports['admin']}"},
        "apps": {
            "http": {
                "http_port": ports["http"],
                "servers": {
                    "plain": {
                        "listen": [f"127.0.0.1:{ports['plain']}"],
                        "automatic_https": {"disable": True},
                        "max_header_bytes": 16384,
                        "routes": routes,
                    },
                    "secure": {
                        "listen": [f"127.0.0.1:{ports['secure']}"],
                        "automatic_https": {"disable_redirects": True},
                        "routes": [
                            {
                                "match": [{"host": ["localhost"]}],
                                "handle": [{"handler": "subroute", "routes": routes}],
                            }
                        ],
                    },
                },
            }
        },
    }


@pytest.fixture(scope="session", params=["all", "split"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    origin = Origin()
    ports = {name: free_port() for name in ("plain", "secure", "admin", "http")}
    made = document(ports, origin.port)
    with Deployment(request.param, made) as deployment:
        admin = Site("127.0.0.1", ports["admin"])
        root = admin.get("/pki/ca/local").json()["root_certificate"]
        yield Stage(deployment, origin, made, ports, root)
    origin.close()


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def client(stage: Stage, protocol: str) -> AsyncIterator[Client]:
    made = await stage.connect(protocol)
    yield made
    await made.aclose()


@pytest.fixture
def token(stage: Stage) -> str:
    return next(stage.tokens)


async def eventually(question: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``question`` is answered with something true."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        await asyncio.sleep(0.02)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed and "/conformance/protocols/" in report.nodeid:
        _, _, case = report.nodeid.partition("[")
        for protocol in PROTOCOLS:
            if protocol in case.rstrip("]").replace("h1-tls", "h1_tls").split("-") or (
                protocol == "h1-tls" and "h1-tls" in case
            ):
                _passed[protocol] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _passed:
        told = ", ".join(f"{name} {_passed[name]}" for name in PROTOCOLS)
        terminalreporter.write_line(f"protocol conformance, cases passed: {told}")
