"""Connections that are kept: the bound of idle ones, and bursts above it."""

import asyncio

from services.proxy.transports import pool
from tests.integration.proxy.test_tls_upstreams import Plain


async def test_a_second_burst_uses_the_connections_of_the_first(platform):
    upstream = Slow()
    await platform.use(
        await platform.upstream(upstream),
        transport={"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 2}},
    )
    for _ in range(3):
        answers = await asyncio.gather(*(platform.ask() for _ in range(8)))
        assert all(answer.body == b"hi" for answer in answers)
    assert upstream.connections == 8


async def test_what_no_burst_wants_again_is_closed_down_to_the_bound(platform, monkeypatch):
    monkeypatch.setattr(pool, "SURPLUS_SECONDS", 0.5)
    await platform.use(
        await platform.upstream(Slow()),
        transport={"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 2}},
    )
    await asyncio.gather(*(platform.ask() for _ in range(8)))
    kept = platform.handler.roster.members[0].pool
    assert kept.idle == 8
    async with asyncio.timeout(30):
        while (kept.idle, kept.open) != (2, 2):
            await asyncio.sleep(0.01)


class Slow(Plain):
    """Answers slowly enough for requests to overlap."""

    async def __call__(self, reader, writer):
        await asyncio.sleep(0.1)
        await super().__call__(reader, writer)
