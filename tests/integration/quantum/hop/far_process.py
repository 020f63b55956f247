"""A process with one room, for tests that kill it: prints its pid when it serves."""

import asyncio
import os
import sys
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from quantum.bus.memory import MemoryBus
from quantum.clock import SystemClock
from quantum.hop.start import open_hop
from quantum.http.message import Response
from quantum.testing.handler import FunctionHandler
from tests.integration.quantum.hop.deployment import PATH, REVISION, ROOM


async def answer(request):
    if request.path == "/slow":
        await asyncio.sleep(60)
    return Response.text(200, str(os.getpid()))


async def main(data_dir, address):
    hop = await open_hop(
        MemoryBus(), frozenset({ROOM}), Path(data_dir), clock=SystemClock(),
        metrics=CollectorRegistry(), log=structlog.get_logger(), listen=address,
    )  # fmt: skip
    hop.server._token = b"shared"
    hop.hop.table.install(ROOM, REVISION, {PATH: FunctionHandler(answer)})
    Path(f"{data_dir}/up-{os.getpid()}").touch()
    await asyncio.Event().wait()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main(*sys.argv[1:]))
