"""The secret that the processes of a deployment share."""

import asyncio

import structlog
from structlog.testing import capture_logs

from quantum.bus.memory import MemoryBus
from quantum.hop.token import RETRY_SECONDS, obtain_token
from quantum.testing.clock import ManualClock


async def test_a_process_that_waits_for_nats_says_so_once_with_the_remedy(tmp_path):
    clock, bus = ManualClock(), MemoryBus()
    bus.cut()
    with capture_logs() as logs:
        waiting = asyncio.ensure_future(
            obtain_token(bus, tmp_path / "token", clock, structlog.get_logger("test"))
        )
        await clock.advance(0)
        for _ in range(3):
            await clock.advance(RETRY_SECONDS)
        await bus.restore()
        await clock.advance(RETRY_SECONDS)
        token = await waiting
    assert token == (tmp_path / "token").read_text()
    assert [entry["event"] for entry in logs] == ["hop_token_awaited"]
    assert "--nats" in logs[0]["remedy"]
