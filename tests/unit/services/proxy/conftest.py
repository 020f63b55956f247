"""A proxy between a test and upstreams made of bytes: what came in, what went up, what went back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quantum.bus.subjects import STANDINGS, UpstreamStanding
from quantum.config.model import locate
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.modules.config import parse_inline, use_registry
from quantum.modules.registry import Registry
from quantum.testing.clock import EPOCH, settle
from quantum.testing.context import make_context, make_revision
from services.proxy.manifest import MANIFEST
from services.proxy.service import ProxyService
from services.proxy.standing import standing_key
from services.proxy.transports.http import HttpTransport


class Wire:
    """The upstream's end of one connection."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received = b""
        self.is_closed = False
        self.is_paused = False
        self.ended = False
        self.protocol: Any = None

    # What the proxy's side calls.

    def write(self, data: bytes) -> None:
        self.received += data

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    close = abort

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_extra_info(self, name: str) -> None:
        return None

    # What the test does.

    async def answer(self, data: bytes) -> None:
        self.protocol.data_received(data)
        await settle()

    async def end(self) -> None:
        """The upstream closes properly."""
        if not self.protocol.eof_received():
            self.abort()
        await settle()

    async def reset(self) -> None:
        self.is_closed = True
        self.protocol.connection_lost(ConnectionResetError("reset by peer"))
        await settle()

    def sent(self) -> bytes:
        """Return what came since the last look."""
        received, self.received = self.received, b""
        return received


class Bench:
    """A started proxy room whose connections are Wires."""

    def __init__(self, tmp_path: Any) -> None:
        self.registry = Registry(MANIFEST.modules)
        self.context = make_context("proxy", tmp_path, registry=self.registry)
        self.service = ProxyService(self.context)
        self.context.switch.use(self.service)
        self.wires: list[Wire] = []
        self.refusing: dict[str, OSError] = {}
        self.module: Any = None

    async def use(self, revision: str = "r1", **config: Any) -> None:
        config.setdefault("upstreams", [{"dial": "up1:80"}])
        with use_registry(self.registry) as found:
            self.module = parse_inline(
                "http.handlers", locate({"handler": "reverse_proxy", **config}, "proxy")
            )
        await self.context.switch.apply(make_revision(revision, modules=tuple(found)))
        self.handler = self.context.hop.handler("proxy", revision, "proxy")

    async def start(self, request: Request) -> asyncio.Task[Any]:
        """Begin a request and let it go as far as it can."""
        task = asyncio.get_running_loop().create_task(self.handler.handle(request))
        await settle()
        return task

    async def dial(self, transport: Any, address: Any, on_close: Any) -> Any:
        name = address.host_port()
        if name in self.refusing:
            raise self.refusing[name]
        wire = Wire(name)
        from services.proxy.transports.connection import Connection

        wire.protocol = Connection(asyncio.get_running_loop(), transport._limits, on_close)
        wire.protocol.connection_made(wire)
        self.wires.append(wire)
        return wire.protocol

    async def stand(self, address: str, healthy: bool, reason: str = "", valid_for: float = 60.0):
        checker = self.module.config.checker_id(address)
        bucket = await self.context.bus.bucket(STANDINGS)
        await bucket.put(
            standing_key(checker, address),
            UpstreamStanding(
                upstream=address,
                checker=checker,
                healthy=healthy,
                reason=reason,
                since=EPOCH,
                revision="r1",
                valid_for=valid_for,
            ),
        )
        await settle()


@pytest.fixture
async def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr(
        HttpTransport,
        "_dial",
        lambda self, address, gone: bench.dial(self, address, gone),  # noqa: PLW0108 - binds self
    )
    await bench.service.start()
    yield bench
    await bench.service.stop(0)


def make_request(method: str = "GET", target: str = "/x?a=1", body: Any = b"", *fields, **more):
    path, _, query = target.partition("?")
    facts = ConnectionFacts(("203.0.113.7", 5000), ("192.0.2.1", 80), "http")
    request = Request(
        method, "http", "example.com", path, query or None, Headers(list(fields)), body, facts
    )
    for name, value in more.items():
        setattr(request, name, value)
    return request


@pytest.fixture
def ask():
    return make_request
