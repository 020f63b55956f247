"""A proxy room and real upstreams: asyncio servers that behave, and many that do not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from quantum.bus.memory import MemoryBus
from quantum.clock import SystemClock
from quantum.config.model import locate
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.modules.config import parse_inline, use_registry
from quantum.modules.registry import Registry
from quantum.testing.context import make_context, make_revision
from services.health.service import HealthService
from services.proxy.manifest import MANIFEST
from services.proxy.service import ProxyService


class Platform:
    """Proxy and health on one bus, as one process would hold them."""

    def __init__(self, tmp_path: Any) -> None:
        self.registry = Registry(MANIFEST.modules)
        clock = SystemClock()
        bus = MemoryBus(clock=clock)
        self.proxy_context = make_context(
            "proxy", tmp_path, registry=self.registry, bus=bus, clock=clock
        )
        health_context = make_context(
            "health", tmp_path, registry=self.registry, bus=bus, clock=clock
        )
        self.proxy = ProxyService(self.proxy_context)
        self.health = HealthService(health_context)
        self.switch = self.proxy_context.switch
        self.switch.use(self.proxy, self.health)
        self.stack = AsyncExitStack()

    async def upstream(self, serve: Any, path: str | None = None, tls: Any = None) -> str:
        """Start an upstream that runs ``serve(reader, writer)`` for each connection."""
        writers: set[asyncio.StreamWriter] = set()

        async def guarded(reader: Any, writer: Any) -> None:
            writers.add(writer)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        if path is not None:
            server = await asyncio.start_unix_server(guarded, path)
            address = f"unix/{path}"
        else:
            server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async def stop() -> None:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0.01)

        self.stack.push_async_callback(stop)
        return address

    async def use(self, *dials: str, revision: str = "r1", **config: Any) -> None:
        document = {"handler": "reverse_proxy", "upstreams": [{"dial": d} for d in dials], **config}
        with use_registry(self.registry) as found:
            parse_inline("http.handlers", locate(document, "proxy"))
        await self.switch.apply(make_revision(revision, modules=tuple(found)))
        self.handler = self.proxy_context.hop.handler("proxy", revision, "proxy")

    async def ask(self, method: str = "GET", path: str = "/", body: Any = b"", **more: Any) -> Any:
        facts = ConnectionFacts(("203.0.113.7", 5000), ("192.0.2.1", 80), "http")
        headers = Headers(more.pop("fields", []))
        request = Request(method, "http", "example.com", path, None, headers, body, facts)
        for name, value in more.items():
            setattr(request, name, value)
        return await self.handler.handle(request)


@pytest.fixture
async def platform(tmp_path):
    platform = Platform(tmp_path)
    await platform.proxy.start()
    await platform.health.start()
    yield platform
    await platform.health.stop(0)
    await platform.proxy.stop(1)
    await platform.stack.aclose()
    await asyncio.sleep(0.05)
